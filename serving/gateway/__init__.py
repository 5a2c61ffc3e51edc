"""The front door: the embedded selector over HTTP, as Azure Personalizer spoke and as a REST interface of our own."""
