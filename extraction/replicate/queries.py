from pathlib import Path

from extraction.queries import Queries

replicate = Queries(Path(__file__).with_name("replicate.sql"))
