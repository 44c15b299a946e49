"""The version of the project, in one place: packaging, provenance and the page read it from here."""

VERSION = "0.2.0"
