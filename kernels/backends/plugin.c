/*
 * See plugin.h. Structs of a plugin may be shorter than ours: a member is looked at only when the
 * plugin's `size` says that it is there. All members of the first version must be.
 */

#include "kernels/backends/plugin.h"

#include "include/dwbench/kernel.h"
#include "kernels/backends/plugin_guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KERNELS_MAX     64
#define KERNEL_NAME_MAX sizeof(((struct dwb_backend_ready *)0)->kernel)
#define TEXT_MAX        64
#define AREA_BYTES_MAX  (UINT64_C(1) << 32) /* of packed weights or scratch */
#define PLACE_MAX       192

/* The first version of each struct. */
#define KERNEL_SIZE_MIN sizeof(struct dwbench_kernel)
#define PLUGIN_SIZE_MIN sizeof(struct dwbench_plugin)

_Static_assert(DWB_PLUGIN_REASON_MAX <= DWB_BACKEND_ERROR_MAX, "a reason fits an error");

struct plugin {
    struct dwb_backend backend; /* first: its address is the plugin's */
    char file[DWB_PLUGIN_FILE_MAX];
    char name[DWB_BACKEND_NAME_MAX];
    const struct dwbench_plugin *table;
    struct plugin *next;
};

static struct plugin *loaded; /* never unloaded */

struct area { /* packed weights or scratch: whole pages, an inaccessible one behind them */
    void *start;
    size_t bytes, mapped;
};

struct conv {                       /* one convolution on one kernel */
    struct dwb_backend_ready ready; /* first: released through its address */
    struct dwbench_args args;
    void (*run)(const struct dwbench_args *args);
    struct dwbench_conv shape;
    struct area packed, scratch;
    char running[PLACE_MAX];
};

static const char *const op_names[] = {
    [DWBENCH_STANDARD] = "standard",
    [DWBENCH_DEPTHWISE] = "depthwise",
    [DWBENCH_POINTWISE] = "pointwise",
};

#define N_OPS (sizeof(op_names) / sizeof(op_names[0]))

static const uint32_t ops[] = {
    [DWB_KERNEL_STANDARD] = DWBENCH_STANDARD,
    [DWB_KERNEL_DEPTHWISE] = DWBENCH_DEPTHWISE,
    [DWB_KERNEL_POINTWISE] = DWBENCH_POINTWISE,
};

static int __attribute__((format(printf, 4, 5)))
refuse(const struct plugin *plugin, char *error, int r, const char *format, ...)
{
    int n = snprintf(error, DWB_BACKEND_ERROR_MAX, "the plugin %s ", plugin->file);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error + n, (size_t)(DWB_BACKEND_ERROR_MAX - n), format, arguments);
    va_end(arguments);
    return r;
}

/* ---- what a plugin says of itself ---- */

/* Printable ASCII, `min` to max - 1 characters: it ends up in terminals, JSON and CSV. */
static bool is_sane(const char *text, size_t min, size_t max)
{
    size_t n = text ? strnlen(text, max) : 0;

    if (!text || n < min || n == max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

static int check_kernel_functions(const struct plugin *plugin, const struct dwbench_kernel *kernel,
                                  char *error)
{
    if (!kernel->run)
        return refuse(plugin, error, -ELIBBAD, "has no run() for its kernel %s", kernel->name);
    if (!kernel->pack != !kernel->packed_bytes)
        return refuse(plugin, error, -ELIBBAD,
                      "has only one of pack() and packed_bytes() for its kernel %s: give both or "
                      "neither",
                      kernel->name);
    return 0;
}

static int check_kernel(const struct plugin *plugin, uint32_t i, char *error)
{
    const struct dwbench_kernel *const *kernels = plugin->table->kernels;
    const struct dwbench_kernel *kernel = kernels[i];
    enum dwb_isa isa;

    if (!kernel)
        return refuse(plugin, error, -ELIBBAD, "has a NULL in place of kernel %u of %u", i,
                      plugin->table->n_kernels);
    if (kernel->size < KERNEL_SIZE_MIN)
        return refuse(plugin, error, -ELIBBAD,
                      "gives size %zu for kernel %u, and the struct has %zu bytes: set it to "
                      "sizeof(struct dwbench_kernel)",
                      kernel->size, i, KERNEL_SIZE_MIN);
    if (kernel->op >= N_OPS)
        return refuse(plugin, error, -ELIBBAD, "gives op %u for kernel %u; there are 0 to %zu",
                      kernel->op, i, N_OPS - 1);
    if (!is_sane(kernel->name, 1, KERNEL_NAME_MAX))
        return refuse(plugin, error, -ELIBBAD,
                      "has a name for kernel %u that is not 1 to %zu printable characters", i,
                      KERNEL_NAME_MAX - 1);
    if (!kernel->isa ||
        (kernel->isa[0] && (dwb_isa_from_name(kernel->isa, &isa) < 0 || isa == DWB_ISA_AUTO)))
        return refuse(plugin, error, -ELIBBAD,
                      "has an isa for its kernel %s that is none of \"\", portable, avx2, avx512, "
                      "neon",
                      kernel->name);
    for (uint32_t k = 0; k < i; k++)
        if (kernels[k]->op == kernel->op && strcmp(kernels[k]->name, kernel->name) == 0)
            return refuse(plugin, error, -ELIBBAD, "has two %s kernels named %s",
                          op_names[kernel->op], kernel->name);
    return check_kernel_functions(plugin, kernel, error);
}

static int check_table(const struct plugin *plugin, char *error)
{
    const struct dwbench_plugin *table = plugin->table;
    int r = 0;

    if (!table)
        return refuse(plugin, error, -ELIBBAD,
                      "does not speak version %u of the interface: dwbench_plugin() returned NULL",
                      DWBENCH_KERNEL_ABI);
    if (table->abi != DWBENCH_KERNEL_ABI)
        return refuse(plugin, error, -ELIBBAD,
                      "speaks version %u of the interface, and this dwbench version %u: build it "
                      "again with this one's dwbench/kernel.h",
                      table->abi, DWBENCH_KERNEL_ABI);
    if (table->size < PLUGIN_SIZE_MIN)
        return refuse(plugin, error, -ELIBBAD,
                      "gives size %zu for its table, and the struct has %zu bytes: set it to "
                      "sizeof(struct dwbench_plugin)",
                      table->size, PLUGIN_SIZE_MIN);
    if (!is_sane(table->name, 1, TEXT_MAX) || !is_sane(table->version, 1, TEXT_MAX))
        return refuse(plugin, error, -ELIBBAD,
                      "has a name or a version that is not 1 to %d printable characters",
                      TEXT_MAX - 1);
    if (table->n_kernels < 1 || table->n_kernels > KERNELS_MAX || !table->kernels)
        return refuse(plugin, error, -ELIBBAD, "lists %u kernels%s; there must be 1 to %d",
                      table->n_kernels, table->kernels ? "" : " at NULL", KERNELS_MAX);
    for (uint32_t i = 0; r == 0 && i < table->n_kernels; i++)
        r = check_kernel(plugin, i, error);
    return r;
}

/* ---- one convolution ---- */

static void place(char buffer[PLACE_MAX], const struct plugin *plugin, const char *function,
                  const struct dwbench_kernel *kernel)
{
    snprintf(buffer, PLACE_MAX, "%s() of the %s kernel %s of the plugin %s", function,
             op_names[kernel->op], kernel->name, plugin->file);
}

static bool supports(const struct plugin *plugin, const struct dwbench_kernel *kernel,
                     const struct dwbench_conv *shape)
{
    char text[PLACE_MAX];
    bool fits;

    if (!kernel->supports)
        return true;
    place(text, plugin, "supports", kernel);
    dwb_plugin_guard_enter(text);
    fits = kernel->supports(shape) != 0;
    dwb_plugin_guard_leave();
    return fits;
}

/* The first that computes `shape` here, or why there is none. */
static int choose(const struct plugin *plugin, const struct dwbench_conv *shape, enum dwb_isa isa,
                  char *error, const struct dwbench_kernel **ret_kernel)
{
    const char *op = op_names[shape->op];
    bool has_op = false, has_isa = false, has_cpu = false;

    for (uint32_t i = 0; i < plugin->table->n_kernels; i++) {
        const struct dwbench_kernel *kernel = plugin->table->kernels[i];
        enum dwb_isa own = DWB_ISA_AUTO;

        if (kernel->op != shape->op)
            continue;
        has_op = true;
        if (kernel->isa[0])
            dwb_isa_from_name(kernel->isa, &own);
        if (isa != DWB_ISA_AUTO && own != isa)
            continue;
        has_isa = true;
        if (!dwb_cpu_allows(dwb_cpu_flags(), own))
            continue;
        has_cpu = true;
        if (!supports(plugin, kernel, shape))
            continue;
        *ret_kernel = kernel;
        return 0;
    }
    if (!has_op)
        snprintf(error, DWB_BACKEND_ERROR_MAX, "the plugin has no %s kernel", op);
    else if (!has_isa)
        snprintf(error, DWB_BACKEND_ERROR_MAX, "the plugin has no %s kernel of isa %s", op,
                 dwb_isa_name(isa));
    else if (!has_cpu)
        snprintf(error, DWB_BACKEND_ERROR_MAX, "this CPU lacks the isa of the plugin's %s kernels",
                 op);
    else
        snprintf(error, DWB_BACKEND_ERROR_MAX, "the plugin's %s kernels do not take this layer",
                 op);
    return -ENOSYS;
}

static void area_deinit(struct area *area)
{
    if (area->mapped)
        munmap(area->start, area->mapped);
}

/* Touched, so that no page fault is left for a timed call; 0 bytes: none. */
static int area_init(struct area *area, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (bytes + DWB_KERNEL_SLACK + page - 1) / page * page;
    char *start;

    if (bytes == 0)
        return 0;
    start = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return -ENOMEM;
    *area = (struct area){start, bytes, usable + page};
    memset(start, 0, usable);
    return mprotect(start + usable, page, PROT_NONE) < 0 ? -errno : 0;
}

/* What a size function of the kernel says; 0 without one. */
static int ask_bytes(const struct plugin *plugin, const struct dwbench_kernel *kernel,
                     const char *function, size_t (*bytes)(const struct dwbench_conv *conv),
                     const struct dwbench_conv *shape, struct area *area, char *error)
{
    char text[PLACE_MAX];
    size_t n;
    int r;

    if (!bytes)
        return 0;
    place(text, plugin, function, kernel);
    dwb_plugin_guard_enter(text);
    n = bytes(shape);
    dwb_plugin_guard_leave();
    if (n > AREA_BYTES_MAX)
        return refuse(plugin, error, -ENOMEM, "asks for %zu bytes in %s() of its %s kernel %s", n,
                      function, op_names[kernel->op], kernel->name);
    r = area_init(area, n);
    if (r < 0)
        refuse(plugin, error, r, "cannot get the %zu bytes of %s() of its kernel %s: %s", n,
               function, kernel->name, strerror(-r));
    return r;
}

static void run(struct dwb_backend_ready *ready)
{
    struct conv *conv = (struct conv *)ready;

    dwb_plugin_guard_enter(conv->running);
    conv->run(&conv->args);
    dwb_plugin_guard_leave();
}

static void release(struct dwb_backend_ready *ready)
{
    struct conv *conv = (struct conv *)ready;

    area_deinit(&conv->packed);
    area_deinit(&conv->scratch);
    free(conv);
}

static int prepare_areas(const struct plugin *plugin, const struct dwbench_kernel *kernel,
                         const struct dwb_backend_conv *request, struct conv *conv, char *error)
{
    char text[PLACE_MAX];
    int r = ask_bytes(plugin, kernel, "packed_bytes", kernel->packed_bytes, &conv->shape,
                      &conv->packed, error);

    if (r == 0 && kernel->pack && conv->packed.bytes == 0)
        return refuse(plugin, error, -ELIBBAD, "has packed_bytes() return 0 for its kernel %s",
                      kernel->name);
    if (r == 0)
        r = ask_bytes(plugin, kernel, "scratch_bytes", kernel->scratch_bytes, &conv->shape,
                      &conv->scratch, error);
    if (r == 0 && kernel->pack) {
        place(text, plugin, "pack", kernel);
        dwb_plugin_guard_enter(text);
        kernel->pack(&conv->shape, request->weights, conv->packed.start);
        dwb_plugin_guard_leave();
    }
    return r;
}

static int prepare(const struct dwb_backend *backend, const struct dwb_backend_conv *request,
                   char error[DWB_BACKEND_ERROR_MAX], struct dwb_backend_ready **ret_ready)
{
    const struct plugin *plugin = (const struct plugin *)backend;
    const struct dwbench_kernel *kernel;
    struct conv *conv = calloc(1, sizeof(*conv));
    int r;

    if (!conv)
        return refuse(plugin, error, -ENOMEM, "cannot be prepared: out of memory");
    conv->shape = (struct dwbench_conv){
        .size = sizeof(conv->shape),
        .op = ops[request->op],
        .kernel_size = request->conv.kernel_size,
        .stride = request->conv.stride,
        .pad_before = request->conv.pad_before,
        .input_size = request->conv.input_size,
        .output_size = request->conv.output_size,
        .in_channels = request->conv.in_channels,
        .out_channels = request->conv.out_channels,
    };
    conv->ready.run = run;
    conv->ready.release = release;
    r = choose(plugin, &conv->shape, request->isa, error, &kernel);
    if (r == 0)
        r = prepare_areas(plugin, kernel, request, conv, error);
    if (r < 0) {
        release(&conv->ready);
        return r;
    }
    if (kernel->isa[0])
        dwb_isa_from_name(kernel->isa, &conv->ready.isa);
    snprintf(conv->ready.kernel, sizeof(conv->ready.kernel), "%s", kernel->name);
    conv->run = kernel->run;
    conv->args = (struct dwbench_args){
        .size = sizeof(conv->args),
        .conv = &conv->shape,
        .input = request->input,
        .packed = kernel->pack ? conv->packed.start : (const void *)request->weights,
        .output = request->output,
        .scratch = conv->scratch.start,
    };
    place(conv->running, plugin, "run", kernel);
    *ret_ready = &conv->ready;
    return 0;
}

static void version(const struct dwb_backend *backend, char *buffer, size_t size)
{
    const struct plugin *plugin = (const struct plugin *)backend;

    snprintf(buffer, size, "%s %s", plugin->table->name, plugin->table->version);
}

/* ---- loading ---- */

static int open_plugin(struct plugin *plugin, const char *directory, char *error)
{
    const struct dwbench_plugin *(*entry)(uint32_t abi);
    char path[4096], text[PLACE_MAX];
    void *module, *symbol;

    if (snprintf(path, sizeof(path), "%s/%s", directory, plugin->file) >= (int)sizeof(path))
        return refuse(plugin, error, -ENAMETOOLONG, "has too long a path");
    snprintf(text, sizeof(text), "the loading of the plugin %s", plugin->file);
    dwb_plugin_guard_enter(text); /* its constructors run here */
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    dwb_plugin_guard_leave();
    if (!module)
        return refuse(plugin, error, -ELIBBAD, "cannot be loaded: %.180s", dlerror());
    symbol = dlsym(module, "dwbench_plugin");
    if (!symbol)
        return refuse(plugin, error, -ELIBBAD,
                      "has no function dwbench_plugin (in C++ it must be extern \"C\")");
    *(void **)&entry = symbol;
    snprintf(text, sizeof(text), "dwbench_plugin() of the plugin %s", plugin->file);
    dwb_plugin_guard_enter(text);
    plugin->table = entry(DWBENCH_KERNEL_ABI);
    dwb_plugin_guard_leave();
    return 0;
}

int dwb_plugin_load(const char *directory, const char *name, char error[DWB_BACKEND_ERROR_MAX],
                    const struct dwb_backend **ret_backend)
{
    struct plugin *plugin;
    char text[PLACE_MAX];
    int r = dwb_plugin_check(directory, name, error);

    if (r < 0)
        return r;
    plugin = calloc(1, sizeof(*plugin));
    if (!plugin)
        return -ENOMEM;
    snprintf(plugin->file, sizeof(plugin->file), "%s", name);
    dwb_plugin_backend_name(name, plugin->name);
    plugin->backend = (struct dwb_backend){
        .abi = DWB_BACKEND_ABI, .name = plugin->name, .version = version, .prepare = prepare};
    dwb_plugin_guard_start();
    r = open_plugin(plugin, directory, error);
    if (r == 0) {
        snprintf(text, sizeof(text), "the reading of the table of the plugin %s", plugin->file);
        dwb_plugin_guard_enter(text);
        r = check_table(plugin, error);
        dwb_plugin_guard_leave();
    }
    if (r < 0) {
        free(plugin);
        return r;
    }
    plugin->next = loaded;
    loaded = plugin;
    *ret_backend = &plugin->backend;
    return 0;
}
