"""Tools to run the services: brokers for trial and test, dead letters, topology, the demo."""
