#pragma once

/*
 * Who is connected: the descriptor and uid of each peer, until when it has to be heard of, whether
 * it has left, and how many a user has. http.c keeps it beside what the library knows of the same
 * connections: of one that is suspended the library hears nothing, so an epoll of its own tells
 * when the other end is closed. Both cutting and telling are a bounded number at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dwb_http_exchange;
struct dwb_peers_user;

struct dwb_peer {
    struct dwb_peer *next, *previous;
    int fd; /* the library's to close */
    struct dwb_peers_user *user;
    uid_t uid;
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none */
    bool over_quota;
    bool has_left; /* the other end is closed; one that only stopped sending has not left */
    struct dwb_http_exchange *exchange; /* the current one, or NULL */
};

struct dwb_peers {
    int left_fd; /* readable while dwb_peers_take_left has something to tell */
    struct dwb_peer *first;
    struct dwb_peers_user *users; /* those with a connection */
    size_t n;
};

int dwb_peers_init(struct dwb_peers *peers);    /* 0 or a negative errno */
void dwb_peers_deinit(struct dwb_peers *peers); /* when all are removed */

/* SO_PEERCRED of a connected Unix socket. 0 or a negative errno. */
int dwb_peers_uid(int fd, uid_t *ret_uid);

struct dwb_peer *dwb_peers_add(struct dwb_peers *peers, int fd, uid_t uid); /* NULL: no memory */
/* Before fd is closed. Frees; takes NULL. */
void dwb_peers_remove(struct dwb_peers *peers, struct dwb_peer *peer);
size_t dwb_peers_count(const struct dwb_peers *peers, uid_t uid);

/* Shuts down the sockets whose deadline has passed, n_max at most: the library sees the end of the
 * stream. Returns whether there may be more. */
bool dwb_peers_cut_late(struct dwb_peers *peers, uint64_t now_ns, size_t n_max);

/* Up to DWB_PEERS_LEFT_MAX that have left since the last call, each told once and marked; the
 * number of them. */
#define DWB_PEERS_LEFT_MAX 32
size_t dwb_peers_take_left(struct dwb_peers *peers, struct dwb_peer *ret_left[DWB_PEERS_LEFT_MAX]);

/* An answer without the library, for moments when it takes none; best effort, never blocks. */
void dwb_peers_send_refusal(int fd, unsigned status, const char *title, const char *code);
