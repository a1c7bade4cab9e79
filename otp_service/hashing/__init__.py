"""Argon2id hashes of PINs, computed in threads behind a bounded queue."""
