/* A small libnvidia-ml.so.1 for tests: four GPUs, and one of several troubles, chosen by FAKE_NVML. Only the calls that
   engine/fleet/host/nvml.py makes. Layouts and codes are those of nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
enum { GPUS = 4, TO_GPU = 0, TO_SWITCH = 2 };

typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } Pci;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
  uint32_t field, scope; int64_t timestamp, latency; int type, result;
  union { double d; unsigned u; unsigned long long ull; } value;
} Field;
typedef struct {
  unsigned version; unsigned char cluster[16]; int status; uint32_t clique; unsigned char state; uint32_t mask;
  unsigned char summary;
} Fabric;

static unsigned long long asked;

static int is(const char *trouble) { const char *t = getenv("FAKE_NVML"); return t && !strcmp(t, trouble); }
static int number(void *gpu) { return (int)(intptr_t)gpu - 1; }
static int switched(void) { return is("nvswitch") || is("fabric-limited"); }
static int links(void) { return is("no-nvlink") ? 0 : switched() ? 18 : 4; }
static int down(int gpu, unsigned link) {
  return (is("pair-down") && gpu >= 2) || (is("one-link-down") && gpu == 1 && link == 3);
}
static int lost(int gpu) { return is("lost-half-way") && gpu == 2; }
static void address(int gpu, Pci *pci) {
  memset(pci, 0, sizeof *pci);
  snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", 0x10 + gpu);
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return is("driver-not-loaded") ? DRIVER_NOT_LOADED : OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "some error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = is("no-gpu") ? 0 : GPUS; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned n, void **gpu) { *gpu = (void *)(intptr_t)(n + 1); return OK; }
int nvmlDeviceGetName(void *gpu, char *name, unsigned size) {
  (void)gpu;
  snprintf(name, size, switched() ? "NVIDIA H100 80GB HBM3" : "NVIDIA A100 80GB PCIe");
  return OK;
}
int nvmlDeviceGetMemoryInfo(void *gpu, Memory *memory) {
  if (lost(number(gpu))) return GPU_IS_LOST;
  *memory = (Memory){85899345920ull, 80000000000ull, 5899345920ull};
  return OK;
}
int nvmlDeviceGetPciInfo_v3(void *gpu, Pci *pci) { address(number(gpu), pci); return OK; }

int nvmlDeviceGetCurrPcieLinkGeneration(void *gpu, unsigned *g) { (void)gpu; *g = is("pcie-slow") ? 1 : 4; return OK; }
int nvmlDeviceGetMaxPcieLinkGeneration(void *gpu, unsigned *g) { (void)gpu; *g = 4; return OK; }
int nvmlDeviceGetCurrPcieLinkWidth(void *gpu, unsigned *w) {
  *w = is("pcie-slow") && number(gpu) == 1 ? 4 : 16;
  return OK;
}
int nvmlDeviceGetMaxPcieLinkWidth(void *gpu, unsigned *w) { (void)gpu; *w = 16; return OK; }

int nvmlDeviceGetNvLinkState(void *gpu, unsigned link, unsigned *active) {
  if (lost(number(gpu))) return GPU_IS_LOST;
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
  *type = switched() ? TO_SWITCH : TO_GPU;
  return OK;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *gpu, unsigned link, Pci *pci) {
  (void)link;
  address(switched() ? 0x40 : number(gpu) ^ 1, pci); /* in pairs: 0 and 1, 2 and 3 */
  return OK;
}
int nvmlDeviceGetNvLinkErrorCounter(void *gpu, unsigned link, unsigned counter, unsigned long long *count) {
  *count = 0;
  if (is("old-errors") && number(gpu) == 0 && link == 1 && counter == 0) *count = 7;
  if (is("errors-rising") && number(gpu) == 0 && link == 1 && counter == 0) *count = 100 + 50 * asked++;
  return OK;
}
int nvmlDeviceGetFieldValues(void *gpu, int count, Field *fields) {
  (void)gpu;
  for (int i = 0; i < count; i++) {
    fields[i].result = fields[i].field == 164 ? OK : NOT_SUPPORTED;
    fields[i].value.u = switched() ? 26562 : 25000;
  }
  return OK;
}
int nvmlDeviceGetGpuFabricInfoV(void *gpu, Fabric *fabric) {
  (void)gpu;
  if (!switched()) return NOT_SUPPORTED;
  fabric->state = 3;
  fabric->summary = is("fabric-limited") ? 3 : 1;
  return OK;
}

int nvmlDeviceGetTopologyCommonAncestor(void *a, void *b, int *level) {
  *level = number(a) / 2 == number(b) / 2 ? 10 : 50;
  return OK;
}
int nvmlDeviceGetP2PStatus(void *a, void *b, int capability, int *status) {
  int joined = switched() || (links() && number(a) / 2 == number(b) / 2 && !down(number(a), 0));
  *status = is("p2p-off") ? 4 : capability == 2 && !joined ? 5 : OK;
  return OK;
}
