"""What the panel and the Python console share: parameter node and logic of FusionRegistration. Knows nodes, no Qt."""
