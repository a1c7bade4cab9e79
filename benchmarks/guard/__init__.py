"""A seeded simulation of honest and attacking traffic, played through the guard's rehearsal."""
