"""The commands: qcluster, qinfo, qbroker."""
