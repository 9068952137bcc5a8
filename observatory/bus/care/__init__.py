"""Trust: the audit that rebuilds the books from events, the doctor, and who may do what."""
