#include "device/pinned_memory.h"

#ifdef ROOKERY_CUDA
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "device/cuda_check.h"

namespace rk {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmall = size_t{64} << 20;  // below this the driver's own allocation is as good
constexpr int kMostTouching = 16;            // threads
constexpr int kPreferNode = 1;               // MPOL_PREFERRED of <numaif.h>, which is no part of every system

size_t whole_pages(size_t n_bytes) { return (n_bytes + kHugePage - 1) / kHugePage * kHugePage; }

// The NUMA node of the current GPU; -1 where it is not told.
int node_of_gpu() {
  int device = 0, node = -1;
  char bus[32] = {};
  if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetPCIBusId(bus, sizeof bus, device) != cudaSuccess) return -1;
  for (char* c = bus; *c; ++c) *c = static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  std::ifstream(std::string("/sys/bus/pci/devices/") + bus + "/numa_node") >> node;
  return node;
}

// Pages that are made later come from the node as long as it has some. Without the system's leave they come from anywhere.
void prefer_node(void* p, size_t n_bytes, int node) {
  if (node < 0 || node >= 64) return;
  const unsigned long mask = 1ul << node;
  ::syscall(SYS_mbind, p, n_bytes, kPreferNode, &mask, 64ul, 0u);
}

// Makes the pages; each thread a run of its own.
void touch(char* p, size_t n_bytes) {
  const auto n_threads = static_cast<size_t>(std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostTouching));
  const size_t part = whole_pages((n_bytes + n_threads - 1) / n_threads);
  std::vector<std::thread> threads;
  for (size_t begin = 0; begin < n_bytes; begin += part)
    threads.emplace_back([=] { std::memset(p + begin, 0, std::min(part, n_bytes - begin)); });
  for (std::thread& t : threads) t.join();
}

}  // namespace

void* allocate_pinned(size_t n_bytes) {
  void* p = nullptr;
  if (n_bytes < kSmall) {
    if (cudaMallocHost(&p, n_bytes) != cudaSuccess) {
      cudaGetLastError();  // the refusal is told as a sentence
      return nullptr;
    }
    std::memset(p, 0, n_bytes);
    return p;
  }
  const size_t n = whole_pages(n_bytes);
  p = ::mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  ::madvise(p, n, MADV_HUGEPAGE);
  prefer_node(p, n, node_of_gpu());
  touch(static_cast<char*>(p), n);
  if (cudaHostRegister(p, n, cudaHostRegisterPortable) == cudaSuccess) return p;
  cudaGetLastError();
  ::munmap(p, n);
  return nullptr;
}

void release_pinned(void* p, size_t n_bytes) {
  if (n_bytes < kSmall) {
    cudaFreeHost(p);
    return;
  }
  cudaHostUnregister(p);
  ::munmap(p, whole_pages(n_bytes));
}

}  // namespace rk
#endif
