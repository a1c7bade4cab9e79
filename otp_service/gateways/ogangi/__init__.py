"""The OGANGI / Messangi Campaign Manager: signing, replies, statuses, and the gateway over them."""
