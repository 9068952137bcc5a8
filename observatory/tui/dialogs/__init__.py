"""Modal dialogs: forms and questions that return a value to the screen that asked."""
