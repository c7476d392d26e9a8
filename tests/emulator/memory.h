// Memory of the emulated GPU. The host can touch device memory only while a kernel or a copy of the runtime runs (but for allocations of
// 16 MiB and more, which stay open).
#pragma once
#include <cstddef>

namespace rk::cuda::emulator {

inline constexpr size_t kSharedLimit = 227 << 10;
inline constexpr size_t kDeviceBytes = size_t{64} << 30;

// NaN bytes (zeros in a large one), at the end of a mapping of its own so that what lies behind cannot be touched; null beyond
// kDeviceBytes.
void* allocate_device(size_t n_bytes);
void release_device(void* p);
void zero_device(void* p, size_t n_bytes);
size_t device_bytes_used();

// While one lives, device memory is open.
class DeviceMemoryOpen {
 public:
  DeviceMemoryOpen();
  DeviceMemoryOpen(const DeviceMemoryOpen&) = delete;
  DeviceMemoryOpen& operator=(const DeviceMemoryOpen&) = delete;
  ~DeviceMemoryOpen();
};

// The dynamic shared memory of a block.
class SharedMemory {
 public:
  SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  void resize(size_t n_bytes) { n_bytes_ = n_bytes; }
  void* data() const { return memory_; }
  void poison();
  bool intact() const;  // nothing behind its end was written

 private:
  unsigned char* memory_ = nullptr;
  size_t n_bytes_ = 0;
};

}  // namespace rk::cuda::emulator
