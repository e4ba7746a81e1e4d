/*
 * See fault_vfs.h. An image is what the disk has of a path, whoever has it open; its log is what
 * was written since the last sync. A file that was made or deleted is so on the disk only with the
 * next sync of the directory, which SQLite makes with the first sync of a new file: before it, a
 * cut may leave the old file, none, or the new one. The log's index (-shm) is not the disk's at
 * all: after a cut it is gone, stale or garbage.
 */

#include "tests/unit/fault_vfs.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR_BYTES 512
#define PATH_MAX_    256
#define N_IMAGES     8

struct change { /* a write, or with data NULL a truncation to `offset` */
    uint8_t *data;
    size_t offset, size;
};

struct bytes {
    uint8_t *data;
    size_t size;
};

struct image {
    char path[PATH_MAX_];
    bool is_entered;   /* the directory on the disk knows this file, not `old` */
    bool has_old;      /* a deleted file that the disk may still have */
    bool is_there;     /* in the directory as the programs see it */
    struct bytes disk; /* of the file */
    struct bytes old;
    struct change *log;
    size_t n_log;
};

struct file {
    sqlite3_file base;
    struct image *image;
    sqlite3_file *real;
};

struct fault_vfs_counts fault_vfs_counts;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct image images[N_IMAGES];
static sqlite3_vfs *real_vfs;
static sqlite3_vfs fault_vfs;
static uint64_t cut_at, fail_sync_at, random_state;
static bool is_dead;

/* splitmix64; the caller has the mutex or is alone */
static uint64_t draw(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fault_vfs_random(uint64_t below)
{
    pthread_mutex_lock(&mutex);
    uint64_t value = draw() % below;
    pthread_mutex_unlock(&mutex);
    return value;
}

/* ---- images ---- */

static void put_bytes(struct bytes *bytes, size_t offset, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    if (offset + size > bytes->size) {
        bytes->data = realloc(bytes->data, offset + size);
        assert(bytes->data);
        memset(bytes->data + bytes->size, 0, offset + size - bytes->size);
        bytes->size = offset + size;
    }
    memcpy(bytes->data + offset, data, size);
}

static void clear_bytes(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

static void apply(struct bytes *bytes, const struct change *change, size_t size)
{
    if (change->data)
        put_bytes(bytes, change->offset, change->data, size);
    else if (change->offset < bytes->size)
        bytes->size = change->offset;
}

static void clear_log(struct image *image)
{
    for (size_t i = 0; i < image->n_log; i++)
        free(image->log[i].data);
    free(image->log);
    image->log = NULL;
    image->n_log = 0;
}

static void add_change(struct image *image, const void *data, size_t offset, size_t size)
{
    struct change change = {.offset = offset, .size = size};

    if (data) {
        change.data = malloc(size);
        assert(change.data);
        memcpy(change.data, data, size);
        fault_vfs_counts.n_writes++;
    }
    if ((image->n_log & (image->n_log - 1)) == 0) /* full at each power of two */
        image->log = reallocarray(image->log, image->n_log ? 2 * image->n_log : 1, sizeof(change));
    assert(image->log);
    image->log[image->n_log++] = change;
}

static struct image *image_of(const char *path)
{
    struct image *free_one = NULL;

    for (size_t i = 0; i < N_IMAGES; i++) {
        if (strcmp(images[i].path, path) == 0)
            return &images[i];
        if (!free_one && images[i].path[0] == '\0')
            free_one = &images[i];
    }
    assert(free_one && strlen(path) < PATH_MAX_);
    strcpy(free_one->path, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) { /* there before: the disk has it */
        uint8_t block[4096];
        ssize_t n;
        while ((n = read(fd, block, sizeof(block))) > 0)
            put_bytes(&free_one->disk, free_one->disk.size, block, (size_t)n);
        close(fd);
        free_one->is_entered = free_one->is_there = true;
    }
    return free_one;
}

/* Every name in it, whichever file asked for it: all files are in one. */
static void sync_directory(void)
{
    for (size_t i = 0; i < N_IMAGES; i++) {
        clear_bytes(&images[i].old);
        images[i].has_old = false;
        images[i].is_entered = images[i].is_there;
    }
}

/* Whether the power is off, also if it goes off in this very call. */
static bool goes_dead(void)
{
    if (cut_at > 0 && --cut_at == 0)
        is_dead = true;
    return is_dead;
}

/* ---- files ---- */

static int file_close(sqlite3_file *base)
{
    struct file *file = (struct file *)base;

    return file->real->pMethods->xClose(file->real);
}

static int file_read(sqlite3_file *base, void *data, int size, sqlite3_int64 offset)
{
    struct file *file = (struct file *)base;

    pthread_mutex_lock(&mutex);
    bool dead = is_dead;
    pthread_mutex_unlock(&mutex);
    return dead ? SQLITE_IOERR_READ : file->real->pMethods->xRead(file->real, data, size, offset);
}

static int file_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 offset)
{
    struct file *file = (struct file *)base;
    int code = SQLITE_IOERR_WRITE;

    pthread_mutex_lock(&mutex);
    bool was_dead = is_dead;
    bool dead = goes_dead();
    if (!was_dead)
        add_change(file->image, data, (size_t)offset, (size_t)size);
    if (!dead)
        code = file->real->pMethods->xWrite(file->real, data, size, offset);
    pthread_mutex_unlock(&mutex);
    return code;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = (struct file *)base;
    int code = SQLITE_IOERR_TRUNCATE;

    pthread_mutex_lock(&mutex);
    bool was_dead = is_dead;
    bool dead = goes_dead();
    if (!was_dead)
        add_change(file->image, NULL, (size_t)size, 0);
    if (!dead)
        code = file->real->pMethods->xTruncate(file->real, size);
    pthread_mutex_unlock(&mutex);
    return code;
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct image *image = ((struct file *)base)->image;
    int code = SQLITE_IOERR_FSYNC;

    pthread_mutex_lock(&mutex);
    if (goes_dead()) {
    } else if (fail_sync_at > 0 && --fail_sync_at == 0) {
        fault_vfs_counts.n_failed_syncs++;
        clear_log(image);
    } else {
        for (size_t i = 0; i < image->n_log; i++)
            apply(&image->disk, &image->log[i], image->log[i].size);
        clear_log(image);
        if (!image->is_entered)
            sync_directory();
        code = SQLITE_OK;
    }
    pthread_mutex_unlock(&mutex);
    return code;
}

#define REAL(base_) (((struct file *)(base_))->real)

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    return REAL(base)->pMethods->xFileSize(REAL(base), size);
}

static int file_lock(sqlite3_file *base, int level)
{
    return REAL(base)->pMethods->xLock(REAL(base), level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    return REAL(base)->pMethods->xUnlock(REAL(base), level);
}

static int file_check_reserved(sqlite3_file *base, int *is_reserved)
{
    return REAL(base)->pMethods->xCheckReservedLock(REAL(base), is_reserved);
}

static int file_control(sqlite3_file *base, int what, void *argument)
{
    if (what == SQLITE_FCNTL_SIZE_HINT) /* the real one would extend the file past the log */
        return SQLITE_OK;
    return REAL(base)->pMethods->xFileControl(REAL(base), what, argument);
}

static int file_sector_size(sqlite3_file *base)
{
    return REAL(base)->pMethods->xSectorSize(REAL(base));
}

static int file_characteristics(sqlite3_file *base)
{
    return REAL(base)->pMethods->xDeviceCharacteristics(REAL(base));
}

static int file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **memory)
{
    return REAL(base)->pMethods->xShmMap(REAL(base), page, size, extend, memory);
}

static int file_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    return REAL(base)->pMethods->xShmLock(REAL(base), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
    REAL(base)->pMethods->xShmBarrier(REAL(base));
}

static int file_shm_unmap(sqlite3_file *base, int deletes)
{
    return REAL(base)->pMethods->xShmUnmap(REAL(base), deletes);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without xFetch: nothing may be read around xRead */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    struct file *file = (struct file *)base;
    int code = SQLITE_CANTOPEN;

    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    if (!name) /* a file for sorting: nobody misses it */
        return real_vfs->xOpen(real_vfs, name, base, flags, ret_flags);
    pthread_mutex_lock(&mutex);
    if (!is_dead) {
        file->image = image_of(name);
        code = real_vfs->xOpen(real_vfs, name, file->real, flags, ret_flags);
    }
    if (code == SQLITE_OK) {
        file->base.pMethods = &methods;
        file->image->is_there = true;
    }
    pthread_mutex_unlock(&mutex);
    return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int syncs_directory)
{
    int code = SQLITE_IOERR_DELETE;

    pthread_mutex_lock(&mutex);
    bool was_dead = is_dead;
    bool dead = goes_dead();
    struct image *image = image_of(name);
    if (!was_dead && image->is_there) {
        if (image->is_entered) {
            clear_bytes(&image->old);
            image->old = image->disk;
            image->disk = (struct bytes){0};
            image->has_old = true;
        }
        clear_bytes(&image->disk);
        clear_log(image);
        image->is_entered = image->is_there = false;
        if (syncs_directory && !dead)
            sync_directory();
    }
    if (!dead)
        code = real_vfs->xDelete(real_vfs, name, syncs_directory);
    pthread_mutex_unlock(&mutex);
    return code;
}

void fault_vfs_register(uint64_t seed)
{
    random_state = seed;
    real_vfs = sqlite3_vfs_find(NULL);
    fault_vfs = *real_vfs;
    fault_vfs.zName = "fault";
    fault_vfs.pNext = NULL;
    fault_vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    fault_vfs.xOpen = vfs_open;
    fault_vfs.xDelete = vfs_delete;
    assert(sqlite3_vfs_register(&fault_vfs, 1) == SQLITE_OK);
}

void fault_vfs_cut_at(uint64_t n_calls)
{
    pthread_mutex_lock(&mutex);
    cut_at = n_calls;
    pthread_mutex_unlock(&mutex);
}

void fault_vfs_fail_sync_at(uint64_t n_syncs)
{
    pthread_mutex_lock(&mutex);
    fail_sync_at = n_syncs;
    pthread_mutex_unlock(&mutex);
}

void fault_vfs_power_off(void)
{
    pthread_mutex_lock(&mutex);
    is_dead = true;
    pthread_mutex_unlock(&mutex);
}

bool fault_vfs_is_off(void)
{
    pthread_mutex_lock(&mutex);
    bool is_off = is_dead;
    pthread_mutex_unlock(&mutex);
    return is_off;
}

/* ---- the cut ---- */

static void shuffle(struct change *log, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = draw() % i;
        struct change other = log[i - 1];
        log[i - 1] = log[j];
        log[j] = other;
    }
    fault_vfs_counts.n_reordered += n > 1;
}

/* Up to a sector's border, which is one of the file's. */
static size_t torn_size(const struct change *change)
{
    size_t n_sectors = (change->offset % SECTOR_BYTES + change->size) / SECTOR_BYTES;
    size_t end = draw() % (n_sectors + 1) * SECTOR_BYTES;
    size_t skipped = change->offset % SECTOR_BYTES;

    return end > skipped ? end - skipped : 0;
}

static void take_part_of_log(struct image *image)
{
    static const unsigned kept_percent[] = {0, 10, 50, 90, 100};
    unsigned kept = kept_percent[draw() % 5];

    if (draw() % 2)
        shuffle(image->log, image->n_log);
    for (size_t i = 0; i < image->n_log; i++) {
        const struct change *change = &image->log[i];
        size_t size = change->size;

        if (draw() % 100 >= kept) {
            fault_vfs_counts.n_dropped++;
            continue;
        }
        if (change->data && draw() % 8 == 0) {
            size = torn_size(change);
            fault_vfs_counts.n_torn += size < change->size;
        }
        apply(&image->disk, change, size);
    }
    clear_log(image);
}

static void write_file(const struct image *image)
{
    unlink(image->path);
    if (!image->is_there)
        return;
    int fd = open(image->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    assert(fd >= 0);
    for (size_t done = 0; done < image->disk.size;) {
        ssize_t n = write(fd, image->disk.data + done, image->disk.size - done);
        assert(n > 0);
        done += (size_t)n;
    }
    close(fd);
}

static void cut_image(struct image *image)
{
    if (!image->is_entered && image->has_old && draw() % 3 == 0) {
        clear_log(image); /* neither the deletion nor the new file have reached the disk */
        clear_bytes(&image->disk);
        image->disk = image->old;
        image->old = (struct bytes){0};
        image->is_there = true;
    } else if (!image->is_entered && (!image->is_there || draw() % 2)) {
        clear_log(image);
        clear_bytes(&image->disk);
        image->is_there = false;
    }
    take_part_of_log(image);
    clear_bytes(&image->old);
    image->has_old = false;
    image->is_entered = image->is_there;
    write_file(image);
}

/* The index of the log: gone, as it was, or garbage. */
static void cut_index(const char *path)
{
    char index[PATH_MAX_ + 8];

    snprintf(index, sizeof(index), "%s-shm", path);
    uint64_t fate = draw() % 3;
    if (fate == 0)
        unlink(index);
    int fd = fate == 1 ? open(index, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        for (int i = 0; i < 4096; i++) {
            uint64_t garbage = draw();
            if (write(fd, &garbage, sizeof(garbage)) != sizeof(garbage))
                abort();
        }
        close(fd);
    }
}

void fault_vfs_cut(void)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < N_IMAGES; i++) {
        if (images[i].path[0] == '\0')
            continue;
        cut_image(&images[i]);
        cut_index(images[i].path);
    }
    is_dead = false;
    cut_at = fail_sync_at = 0;
    fault_vfs_counts.n_cuts++;
    pthread_mutex_unlock(&mutex);
}

void fault_vfs_forget(void)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < N_IMAGES; i++) {
        clear_log(&images[i]);
        clear_bytes(&images[i].disk);
        clear_bytes(&images[i].old);
        images[i] = (struct image){0};
    }
    pthread_mutex_unlock(&mutex);
}
