"""The rows of the fault suite, by what they break."""
