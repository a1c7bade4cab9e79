"""Second factors of an application's users: enrolment, challenges, recovery codes, devices."""
