"""The guard against SMS pumping, live: it reads the rows of a start, decides, and counts what was sent."""
