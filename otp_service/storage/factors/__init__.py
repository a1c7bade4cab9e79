"""Second factors: what a subject can prove itself with."""
