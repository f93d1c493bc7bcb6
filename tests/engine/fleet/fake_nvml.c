/* A small libnvidia-ml.so.1 for tests: four GPUs, and some of several troubles, chosen by FAKE_NVML ("one,another").
   Only the calls that engine/fleet/host/nvml.py makes. Layouts and codes are those of nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9,
  GPU_IS_LOST = 15, RESET_REQUIRED = 16, VERSION_MISMATCH = 18, ARGUMENT_VERSION = 25, DEPRECATED = 26, UNKNOWN = 999
};
enum { GPUS = 4, MIG_INSTANCES = 7, TO_GPU = 0, TO_SWITCH = 2, TO_UNKNOWN = 255 };
enum { FABRIC_V2 = 0x2000024, FABRIC_V3 = 0x3000028 };

typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } Pci;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;
typedef struct {
  uint32_t field, scope; int64_t timestamp, latency; int type, result;
  union { double d; unsigned u; unsigned long long ull; } value;
} Field;
typedef struct {
  unsigned version; unsigned char cluster[16]; int status; uint32_t clique; unsigned char state; uint32_t mask;
  unsigned char summary;
} Fabric;

static unsigned long long asked;

static int is(const char *trouble) {
  const char *all = getenv("FAKE_NVML");
  for (size_t n = strlen(trouble); all && *all; all = strchr(all, ',') ? strchr(all, ',') + 1 : "")
    if (!strncmp(all, trouble, n) && (all[n] == ',' || !all[n])) return 1;
  return 0;
}
static int number(void *gpu) { return (int)(intptr_t)gpu - 1; }
static int switched(void) { return is("nvswitch"); }
static int links(void) { return is("no-nvlink") || is("geforce") ? 0 : switched() ? 18 : 4; }
static int down(int gpu, unsigned link) {
  if (is("no-bridge") || (is("one-pair-bridged") && gpu >= 2)) return 1;
  return (is("pair-down") && gpu >= 2) || (is("one-link-down") && gpu == 1 && link == 3);
}
static int gone(int gpu) {
  return gpu != 2 ? OK : is("lost-half-way") ? GPU_IS_LOST : is("reset-required") ? RESET_REQUIRED : OK;
}
static void address(int gpu, Pci *pci) {
  memset(pci, 0, sizeof *pci);
  snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", 0x10 + gpu);
}

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  return is("driver-not-loaded") ? DRIVER_NOT_LOADED
         : is("version-mismatch") ? VERSION_MISMATCH
         : is("no-permission") ? NO_PERMISSION : OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "some error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = is("no-gpu") ? 0 : GPUS; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned n, void **gpu) { *gpu = (void *)(intptr_t)(n + 1); return OK; }
int nvmlDeviceGetIndex(void *gpu, unsigned *n) { *n = (unsigned)number(gpu); return OK; }
int nvmlDeviceGetUUID(void *gpu, char *uuid, unsigned size) {
  snprintf(uuid, size, "GPU-%04d-aaaa", number(gpu));
  return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **gpu) {
  if (strcmp(uuid, "MIG-of-three")) return NOT_FOUND;
  *gpu = (void *)4096;
  return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *instance, void **gpu) {
  (void)instance;
  *gpu = (void *)(intptr_t)4; /* GPU 3 */
  return OK;
}
int nvmlDeviceGetBrand(void *gpu, unsigned *brand) { (void)gpu; *brand = is("geforce") ? 5 : 2; return OK; }
int nvmlDeviceGetVirtualizationMode(void *gpu, unsigned *mode) { (void)gpu; *mode = is("vm"); return OK; }
int nvmlDeviceGetMigMode(void *gpu, unsigned *now, unsigned *pending) {
  (void)gpu;
  *now = *pending = (unsigned)is("mig");
  return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *gpu, unsigned *count) { (void)gpu; *count = MIG_INSTANCES; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *gpu, unsigned n, void **instance) {
  *instance = gpu;
  return n < MIG_INSTANCES - 1 ? OK : NOT_FOUND;
}
int nvmlDeviceGetName(void *gpu, char *name, unsigned size) {
  (void)gpu;
  snprintf(name, size, "NVIDIA %s",
           is("geforce") ? "GeForce RTX 4090" : switched() ? "H100 80GB HBM3" : "A100 80GB PCIe");
  return OK;
}
int nvmlDeviceGetMemoryInfo(void *gpu, Memory *memory) {
  if (gone(number(gpu))) return gone(number(gpu));
  if (is("mig")) return NO_PERMISSION;
  *memory = (Memory){85899345920ull, 80000000000ull, 5899345920ull};
  return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, Process *processes) {
  unsigned room = *count;
  *count = is("used") && number(gpu) == 1 ? 2 : 0;
  if (room < *count) return TOO_SMALL;
  for (unsigned n = 0; n < *count; n++) processes[n] = (Process){1000 + n, 1 << 30, 0, 0};
  return OK;
}
int nvmlDeviceGetPciInfo_v3(void *gpu, Pci *pci) { address(number(gpu), pci); return OK; }

int nvmlDeviceGetCurrPcieLinkGeneration(void *gpu, unsigned *g) { (void)gpu; *g = is("pcie-idle") ? 1 : 4; return OK; }
int nvmlDeviceGetMaxPcieLinkGeneration(void *gpu, unsigned *g) { (void)gpu; *g = 4; return OK; }
int nvmlDeviceGetCurrPcieLinkWidth(void *gpu, unsigned *w) {
  *w = is("pcie-idle") && number(gpu) == 1 ? 1 : 16;
  return OK;
}
int nvmlDeviceGetMaxPcieLinkWidth(void *gpu, unsigned *w) { (void)gpu; *w = 16; return OK; }

int nvmlDeviceGetNvLinkState(void *gpu, unsigned link, unsigned *active) {
  if (gone(number(gpu))) return gone(number(gpu));
  if (is("wsl")) return UNKNOWN;
  if (link >= (unsigned)links()) return links() ? INVALID : NOT_SUPPORTED;
  *active = !down(number(gpu), link);
  return OK;
}
int nvmlDeviceGetNvLinkVersion(void *gpu, unsigned link, unsigned *version) {
  (void)gpu; (void)link;
  *version = switched() ? 6 : 4; /* NVLink 4.0, 3.0 */
  return OK;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(void *gpu, unsigned link, int *type) {
  (void)gpu; (void)link;
  *type = is("hidden-switch") ? TO_UNKNOWN : switched() ? TO_SWITCH : TO_GPU;
  return OK;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *gpu, unsigned link, Pci *pci) {
  (void)link;
  if (is("hidden-switch")) return UNKNOWN;
  address(switched() ? 0x40 : number(gpu) ^ 1, pci); /* in pairs: 0 and 1, 2 and 3 */
  return OK;
}
int nvmlDeviceGetNvLinkErrorCounter(void *gpu, unsigned link, unsigned counter, unsigned long long *count) {
  *count = 0;
  if (is("old-counters")) return DEPRECATED;
  if (is("no-counters")) *count = ~0ull;
  if (is("pair-down") && number(gpu) >= 2 && counter == 1) *count = 3; /* so it was up before */
  if (is("all-rising") && counter == 0) *count = ++asked;
  if (is("old-errors") && number(gpu) == 0 && link == 1 && counter == 0) *count = 7;
  if (is("errors-rising") && number(gpu) == 0 && link == 1 && counter == 0) *count = 100 + 50 * asked++;
  return OK;
}
int nvmlDeviceGetFieldValues(void *gpu, int count, Field *fields) {
  (void)gpu;
  for (int i = 0; i < count; i++) {
    int c2c = fields[i].field == 170, speed = fields[i].field == 164;
    fields[i].result = speed || (c2c && is("c2c")) ? OK : NOT_SUPPORTED;
    fields[i].value.u = c2c ? 10 : switched() ? 26562 : 25000;
  }
  return OK;
}
int nvmlDeviceGetGpuFabricInfoV(void *gpu, Fabric *fabric) {
  (void)gpu;
  if (is("driver-r525") || (is("driver-r550") && fabric->version != FABRIC_V2)) return ARGUMENT_VERSION;
  if (fabric->version != FABRIC_V2 && fabric->version != FABRIC_V3) return ARGUMENT_VERSION;
  if (!switched()) return NOT_SUPPORTED;
  fabric->state = is("fabric-not-started") ? 1 : is("fabric-in-progress") ? 2 : 3;
  fabric->status = is("fabric-failed") ? UNKNOWN : OK;
  fabric->mask = is("fabric-degraded") ? 1 : is("fabric-few-links") ? 5 << 8 : 2;
  if (fabric->version == FABRIC_V3) fabric->summary = is("fabric-limited") ? 3 : 1; /* v2 ends before it */
  return OK;
}

int nvmlDeviceGetTopologyCommonAncestor(void *a, void *b, int *level) {
  *level = number(a) / 2 == number(b) / 2 ? 10 : 50;
  return OK;
}
int nvmlDeviceGetP2PStatus(void *a, void *b, int capability, int *status) {
  int joined = switched() || (links() && number(a) / 2 == number(b) / 2 && !down(number(a), 0));
  *status = is("p2p-off") ? 4 : is("acs") || is("geforce") ? 1 : capability == 2 && !joined ? 5 : OK;
  return OK;
}
