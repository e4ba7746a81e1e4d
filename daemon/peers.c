#include "daemon/peers.h"

/* See peers.h. */

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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

int dwb_peers_init(struct dwb_peers *peers)
{
    *peers = (struct dwb_peers){.left_fd = epoll_create1(EPOLL_CLOEXEC)};
    return peers->left_fd < 0 ? -errno : 0;
}

void dwb_peers_deinit(struct dwb_peers *peers)
{
    dwb_closep(&peers->left_fd);
    peers->left_fd = -1;
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
    dwb_cleanup_free struct dwb_peer *peer = calloc(1, sizeof(*peer));
    /* That the other end is closed is reported whether asked for or not. */
    struct epoll_event event = {.events = EPOLLET, .data.ptr = peer};

    if (!peer)
        return NULL;
    peer->user = add_user(peers, uid);
    if (!peer->user)
        return NULL;
    if (epoll_ctl(peers->left_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        remove_user(peers, peer->user);
        return NULL;
    }
    peer->fd = fd;
    peer->uid = uid;
    peer->next = peers->first;
    if (peer->next)
        peer->next->previous = peer;
    peers->first = peer;
    peers->n++;
    return dwb_steal(peer);
}

void dwb_peers_remove(struct dwb_peers *peers, struct dwb_peer *peer)
{
    if (!peer)
        return;
    /* A process that is just being forked may hold the socket past its close. */
    epoll_ctl(peers->left_fd, EPOLL_CTL_DEL, peer->fd, NULL);
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

bool dwb_peers_cut_late(struct dwb_peers *peers, uint64_t now_ns, size_t n_max)
{
    for (struct dwb_peer *peer = peers->first; peer && n_max > 0; peer = peer->next)
        if (peer->deadline_ns && now_ns > peer->deadline_ns) {
            shutdown(peer->fd, SHUT_RDWR);
            peer->deadline_ns = 0;
            n_max--;
        }
    return n_max == 0;
}

size_t dwb_peers_take_left(struct dwb_peers *peers, struct dwb_peer *ret_left[DWB_PEERS_LEFT_MAX])
{
    struct epoll_event events[DWB_PEERS_LEFT_MAX];
    int n = epoll_wait(peers->left_fd, events, DWB_PEERS_LEFT_MAX, 0);

    for (int i = 0; i < n; i++) {
        ret_left[i] = events[i].data.ptr;
        ret_left[i]->has_left = true;
    }
    return n > 0 ? (size_t)n : 0;
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
