"""What scripts/bench.py is made of: measuring, servers and their data, cases, the document."""
