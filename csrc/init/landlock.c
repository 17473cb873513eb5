/* Landlock: what the program, and all that comes of it, may do with files, TCP ports and processes, whoever runs it (landlock(7)). */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2, EXECVE_CHECK = 0x10000 };

/* A kernel whose structure is shorter takes this one, too, as long as what it does not know is 0. */
void op_landlock_ruleset(const struct op_landlock_ruleset *op) {
    struct {
        uint64_t paths, ports, scoped;
    } handled = {op->paths, op->ports, op->scoped};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);

    check(fd, STEP_landlock_create_ruleset, NULL);
    put(REG_RULESET, fd);
}

/* The rule is for the file that is there now, by whatever name it is reached later. To look it up opens nothing: no device and no fifo
 * knows of it. */
void op_landlock_path(const struct op_landlock_path *op) {
    struct {
        uint64_t rights;
        int32_t parent;
    } __attribute__((packed)) rule = {0, open_in(get(REG_ROOT), op->path, O_PATH, 0)};
    struct stat status;

    if (rule.parent < 0 && op->optional && (errno == ENOENT || errno == ENOTDIR))
        return;
    if (rule.parent < 0)
        fail_lookup();
    check(fstat(rule.parent, &status), STEP_stat, op->path);
    rule.rights = S_ISDIR(status.st_mode) ? op->rights : op->file_rights;
    check(syscall(SYS_landlock_add_rule, get(REG_RULESET), RULE_PATH_BENEATH, &rule, 0), STEP_landlock_add_rule, op->path);
    close(rule.parent);
}

void op_landlock_port(const struct op_landlock_port *op) {
    struct {
        uint64_t rights, port;
    } rule = {op->rights, op->port};

    check(syscall(SYS_landlock_add_rule, get(REG_RULESET), RULE_NET_PORT, &rule, 0), STEP_landlock_add_rule, NULL);
}

/* Whether execve(2) of a file would be allowed, which a kernel before Linux 6.14 does not say. */
static bool may_execute(const char *path) {
    const char *const args[] = {path, NULL};

    return path && syscall(SYS_execveat, AT_FDCWD, path, args, args + 1, EXECVE_CHECK) == 0;
}

/* Rules that leave out the program, or the dynamic loader that it needs, are the usual mistake, and execve(2) says no more than
 * "permission denied" of it, in `start`. */
void op_landlock(const struct op_landlock *op) {
    const char *files[1 + MOST_INTERPRETERS] = {state.executable};
    bool allowed[1 + MOST_INTERPRETERS];

    memcpy(files + 1, state.interpreters, sizeof(state.interpreters));
    for (int i = 0; i <= MOST_INTERPRETERS; i++)
        allowed[i] = may_execute(files[i]);
    check(syscall(SYS_landlock_restrict_self, get(REG_RULESET), op->flags), STEP_landlock_restrict_self, NULL);
    put(REG_RULESET, -1);
    state.landlock = true;
    for (int i = 0; i <= MOST_INTERPRETERS; i++)
        if (allowed[i] && !may_execute(files[i]))
            fail(errno, STEP_landlock, files[i]);
}
