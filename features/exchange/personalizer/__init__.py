"""What an owner of an Azure Personalizer kept of it: settings, learning policy, logs, a model."""
