#include "emulator/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>

#include "base/error.h"

namespace rk::cuda::emulator {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kLarge = size_t{16} << 20;  // mappings from here on are always open: closing them would take longer than kernels do
constexpr size_t kBehind = 1024;             // checked bytes behind dynamic shared memory

size_t pages(size_t n_bytes) { return (n_bytes + kPage - 1) / kPage * kPage; }

struct DeviceMemory {
  std::mutex mutex;
  std::map<char*, size_t> mappings;  // begin -> bytes, whole pages, an untouchable one behind each
  char *lowest = nullptr, *highest = nullptr;
  size_t used = 0;
  int open = 0;
};

DeviceMemory& memory() {
  static DeviceMemory m;
  return m;
}

void say(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

// Tells what a wild access means before the program dies of it.
void on_bad_access(int signal, siginfo_t* info, void*) {
  const char* at = static_cast<const char*>(info->si_addr);
  const DeviceMemory& m = memory();
  if (at >= m.lowest && at < m.highest)
    say(m.open ? "emulated GPU: a kernel touches memory beside its tensors\n" : "emulated GPU: the host touches memory of the GPU\n");
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
}

void watch_accesses() {
  static char stack[1 << 16];
  const stack_t other{.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
  sigaltstack(&other, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_bad_access;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
}

void protect(const DeviceMemory& m, int how) {
  for (const auto& [begin, n] : m.mappings) {
    if (n < kLarge) mprotect(begin, n, how);
  }
}

}  // namespace

void* allocate_device(size_t n_bytes) {
  DeviceMemory& m = memory();
  const std::lock_guard lock(m.mutex);
  if (!m.lowest) watch_accesses();
  const size_t n = std::max(pages(n_bytes), kPage);
  if (m.used + n > kDeviceBytes) return nullptr;
  void* p = mmap(nullptr, n + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(p);
  mprotect(begin + n, kPage, PROT_NONE);
  if (n < kLarge) {
    std::memset(begin, 0xff, n);
    if (!m.open) mprotect(begin, n, PROT_NONE);
  }
  m.mappings[begin] = n;
  m.used += n;
  m.lowest = m.lowest ? std::min(m.lowest, begin) : begin;
  m.highest = std::max(m.highest, begin + n + kPage);
  return begin + (n - (n_bytes + 255) / 256 * 256) % kPage;
}

void release_device(void* p) {
  DeviceMemory& m = memory();
  const std::lock_guard lock(m.mutex);
  char* begin = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(p) / kPage * kPage);
  const auto found = m.mappings.find(begin);
  require(found != m.mappings.end(), "only memory of the GPU is given back to it");
  m.used -= found->second;
  munmap(begin, found->second + kPage);
  m.mappings.erase(found);
}

void zero_device(void* p, size_t n_bytes) {
  char *first = static_cast<char*>(p), *last = first + n_bytes;
  char* const whole = reinterpret_cast<char*>(pages(reinterpret_cast<uintptr_t>(p)));
  const size_t n_whole = last > whole ? static_cast<size_t>(last - whole) / kPage * kPage : 0;
  if (n_whole < kLarge || madvise(whole, n_whole, MADV_DONTNEED) != 0) {
    std::memset(p, 0, n_bytes);
    return;
  }
  std::memset(first, 0, static_cast<size_t>(whole - first));
  std::memset(whole + n_whole, 0, static_cast<size_t>(last - whole) - n_whole);
}

size_t device_bytes_used() {
  const std::lock_guard lock(memory().mutex);
  return memory().used;
}

DeviceMemoryOpen::DeviceMemoryOpen() {
  DeviceMemory& m = memory();
  const std::lock_guard lock(m.mutex);
  if (m.open++ == 0) protect(m, PROT_READ | PROT_WRITE);
}
DeviceMemoryOpen::~DeviceMemoryOpen() {
  DeviceMemory& m = memory();
  const std::lock_guard lock(m.mutex);
  if (--m.open == 0) protect(m, PROT_NONE);
}

SharedMemory::SharedMemory() {
  void* p = mmap(nullptr, kSharedLimit + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != MAP_FAILED, "there is memory for a block");
  memory_ = static_cast<unsigned char*>(p);
}
SharedMemory::~SharedMemory() { munmap(memory_, kSharedLimit + kPage); }

void SharedMemory::poison() { std::memset(memory_, 0xff, n_bytes_ + kBehind); }
bool SharedMemory::intact() const {
  return std::all_of(memory_ + n_bytes_, memory_ + n_bytes_ + kBehind, [](unsigned char c) { return c == 0xff; });
}

}  // namespace rk::cuda::emulator
