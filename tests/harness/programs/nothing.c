/* Ends with status 7, with an argument 0, and makes no system call but what the C library makes: arch_prctl, set_tid_address, exit_group. */
int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? 0 : 7;
}
