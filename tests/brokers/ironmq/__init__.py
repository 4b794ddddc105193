"""The IronMQ broker beyond the contract."""
