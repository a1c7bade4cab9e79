"""The guard against SMS pumping: a pure function from rows of counters to a decision with reasons.

For each request: read the rows of `keys.keys_of(request)` (an absent row is `Row()`), call `rules.decide`, then
`counting.sent` or `counting.blocked`, and store the rows that it returns; `counting.given_back` takes back a message
that no route sent. After an approval: read the rows of the same
keys, call `counting.approved`, and store the rows that it returns. Nothing here reads a clock or a database.
"""
