"""Replays the flights of 2013 through the server and checks every feature afterwards."""
