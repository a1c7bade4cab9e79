"""OGANGI (Messangi) Campaign Manager API."""
