#pragma once

/*
 * Who is connected: the descriptor and uid of each peer, until when it has to be heard of, and how
 * many a user has. http.c keeps it beside what the library knows of the same connections.
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
    struct dwb_http_exchange *exchange; /* the current one, or NULL */
};

struct dwb_peers { /* zeroed = empty */
    struct dwb_peer *first;
    struct dwb_peers_user *users; /* those with a connection */
    size_t n;
};

/* SO_PEERCRED of a connected Unix socket. 0 or a negative errno. */
int dwb_peers_uid(int fd, uid_t *ret_uid);

struct dwb_peer *dwb_peers_add(struct dwb_peers *peers, int fd, uid_t uid); /* NULL: no memory */
void dwb_peers_remove(struct dwb_peers *peers, struct dwb_peer *peer);      /* frees; takes NULL */
size_t dwb_peers_count(const struct dwb_peers *peers, uid_t uid);

/* Shuts down the sockets whose deadline has passed: the library sees the end of the stream. */
void dwb_peers_cut_late(struct dwb_peers *peers, uint64_t now_ns);

/* Whether the other end is closed; says nothing of an end that only stopped sending. */
bool dwb_peer_has_left(const struct dwb_peer *peer);

/* An answer without the library, for moments when it takes none; best effort, never blocks. */
void dwb_peers_send_refusal(int fd, unsigned status, const char *title, const char *code);
