/* The terminal that the runtime itself runs on, while it stands in for a container's. */
#ifndef PYOCI_SHIM_TERMINAL_H
#define PYOCI_SHIM_TERMINAL_H

/* cffi:begin */

/* Puts a terminal into raw mode, but for its output, until pyoci_terminal_restore, or until this process is gone, however it went.
   Only one terminal at a time. 0 or -errno; -ENOTTY when it is none. */
int pyoci_terminal_raw(int fd);

/* Raw mode once more, after a shell had the terminal in between. 0 or -errno. */
int pyoci_terminal_raw_again(void);

/* The terminal as it was. Does nothing when it was not changed. */
void pyoci_terminal_restore(void);

/* Opens the other end of a pseudo-terminal's master. A close-on-exec descriptor or -errno. */
int pyoci_terminal_peer(int master);

/* A terminal that no longer makes "\r\n" of the newlines that programs write (ONLCR). 0 or -errno. */
int pyoci_terminal_plain_newlines(int master);

/* Gives one terminal the window size of another. 0 or -errno. */
int pyoci_terminal_copy_size(int from, int to);

/* cffi:end */

#endif
