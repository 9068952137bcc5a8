"""Conversation: mailboxes, broadcasts with gap detection, questions and their answers."""
