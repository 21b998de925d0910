SELECT inet_server_port()
