#include "daemon/peers.h"

/* See peers.h. */

#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct dwb_peers_user {
    struct dwb_peers_user *next;
    uid_t uid;
    size_t n;
};

static struct dwb_peers_user *find_user(const struct dwb_peers *peers, uid_t uid)
{
    struct dwb_peers_user *user = peers->users;

    while (user && user->uid != uid)
        user = user->next;
    return user;
}

static struct dwb_peers_user *add_user(struct dwb_peers *peers, uid_t uid)
{
    struct dwb_peers_user *user = find_user(peers, uid);

    if (!user) {
        user = calloc(1, sizeof(*user));
        if (!user)
            return NULL;
        user->uid = uid;
        user->next = peers->users;
        peers->users = user;
    }
    user->n++;
    return user;
}

static void remove_user(struct dwb_peers *peers, struct dwb_peers_user *user)
{
    struct dwb_peers_user **link = &peers->users;

    if (--user->n > 0)
        return;
    while (*link != user)
        link = &(*link)->next;
    *link = user->next;
    free(user);
}

int dwb_peers_uid(int fd, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return -errno;
    *ret_uid = peer.uid;
    return 0;
}

struct dwb_peer *dwb_peers_add(struct dwb_peers *peers, int fd, uid_t uid)
{
    struct dwb_peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->user = add_user(peers, uid);
    if (!peer->user) {
        free(peer);
        return NULL;
    }
    peer->fd = fd;
    peer->uid = uid;
    peer->next = peers->first;
    if (peer->next)
        peer->next->previous = peer;
    peers->first = peer;
    peers->n++;
    return peer;
}

void dwb_peers_remove(struct dwb_peers *peers, struct dwb_peer *peer)
{
    if (!peer)
        return;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        peers->first = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    peers->n--;
    remove_user(peers, peer->user);
    free(peer);
}

size_t dwb_peers_count(const struct dwb_peers *peers, uid_t uid)
{
    const struct dwb_peers_user *user = find_user(peers, uid);

    return user ? user->n : 0;
}

void dwb_peers_cut_late(struct dwb_peers *peers, uint64_t now_ns)
{
    for (struct dwb_peer *peer = peers->first; peer; peer = peer->next)
        if (peer->deadline_ns && now_ns > peer->deadline_ns) {
            shutdown(peer->fd, SHUT_RDWR);
            peer->deadline_ns = 0;
        }
}

bool dwb_peer_has_left(const struct dwb_peer *peer)
{
    struct pollfd state = {peer->fd, 0, 0};

    return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR));
}

void dwb_peers_send_refusal(int fd, unsigned status, const char *title, const char *code)
{
    char body[256], text[512];

    int n = snprintf(body, sizeof(body),
                     "{\"type\": \"about:blank\", \"title\": \"%s\", \"status\": %u, "
                     "\"code\": \"%s\"}\n",
                     title, status, code);
    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
                 "Content-Length: %d\r\n%sConnection: close\r\n\r\n%s",
                 status, title, n, status == 429 ? "Retry-After: 1\r\n" : "", body);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        dwb_log(DWB_LOG_DEBUG, "refusal was not sent: %s", strerror(errno));
}
