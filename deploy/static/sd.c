/*
 * sd: two functions of libsystemd, of which there is no static library. The
 * static libdbus asks them, which libpcap wants for captures from D-Bus. What
 * they say is so: this program is not started by a socket of systemd's.
 */
int sd_listen_fds(int unset_environment);
int sd_is_socket(int fd, int family, int type, int listening);

int
sd_listen_fds(int unset_environment)
{
	(void)unset_environment;
	return 0;
}

int
sd_is_socket(int fd, int family, int type, int listening)
{
	(void)fd;
	(void)family;
	(void)type;
	(void)listening;
	return 0;
}
