"""SQL: functions take an open transaction and never commit."""
