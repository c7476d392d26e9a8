// One NVIDIA GPU of this process: the stream on which all its work runs, the cuBLASLt handle, what the chip is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

struct CUstream_st;
struct cublasLtContext;

namespace rk {

struct GpuOptions {
  int index = 0;       // among the devices that CUDA_VISIBLE_DEVICES leaves
  int arch_limit = 0;  // use only what chips of this architecture have (80, 90, ...); 0 = what the chip is
};

// Number of usable GPUs; 0 in a build without CUDA or without a driver.
int n_gpus();
// Why there is none ("this build has no CUDA", the driver's message); empty where there is one.
std::string why_no_gpu();

class Gpu {
 public:
  // fail()s where there is no such device.
  explicit Gpu(const GpuOptions& options);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu();

  CUstream_st* stream() const { return stream_; }
  cublasLtContext* blas() const { return blas_; }
  int index() const { return index_; }
  int arch() const { return arch_; }  // 90 = compute capability 9.0, lowered by arch_limit
  int n_sm() const { return n_sm_; }
  size_t shared_limit() const { return shared_limit_; }  // bytes of shared memory that one block may ask for
  const std::string& name() const { return name_; }
  const std::string& uuid() const { return uuid_; }      // 32 hexadecimal digits; the same in every process
  const std::string& pci_bus() const { return pci_bus_; }  // "0000:1b:00.0", as in /sys/bus/pci/devices

  size_t total_bytes() const;
  size_t free_bytes() const;   // as the driver says now
  void synchronize() const;    // waits for all work on the stream
  void make_current() const;   // for calls of this thread that name no device

  // A place for what one operator remembers across calls (matrix products: their algorithms). T is made at the first use.
  template <class T>
  T& remembered() {
    if (!remembered_) remembered_ = std::make_shared<T>();
    return *static_cast<T*>(remembered_.get());
  }

 private:
  CUstream_st* stream_ = nullptr;
  cublasLtContext* blas_ = nullptr;
  int index_ = 0, arch_ = 0, n_sm_ = 0;
  size_t shared_limit_ = 0;
  std::string name_, uuid_, pci_bus_;
  std::shared_ptr<void> remembered_;
};

// A second queue of work on the same GPU, beside the Gpu's own stream: copies, collectives. It has the higher priority.
class GpuStream {
 public:
  explicit GpuStream(const Gpu& gpu);
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;
  ~GpuStream();
  CUstream_st* stream() const { return stream_; }
  void synchronize() const;

 private:
  CUstream_st* stream_ = nullptr;
};

// A moment on a stream of a GPU.
class GpuEvent {
 public:
  enum class Use : uint8_t { timing, order };  // order: cheaper, without ms_since()
  explicit GpuEvent(Use use = Use::timing);
  GpuEvent(const GpuEvent&) = delete;
  GpuEvent& operator=(const GpuEvent&) = delete;
  ~GpuEvent();
  void record(const Gpu& gpu) { record(gpu.stream()); }
  void record(CUstream_st* stream);
  void hold(CUstream_st* stream) const;  // later work of `stream` begins after the work before record(); at once if never recorded
  void wait() const;  // the host waits until the work before record() is done; at once if never recorded
  bool done() const;
  double ms_since(const GpuEvent& earlier) const;  // both recorded and done

 private:
  void* event_ = nullptr;
};

}  // namespace rk
