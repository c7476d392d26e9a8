#ifdef ROOKERY_NCCL
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "comm/agree.h"
#include "comm/collective_args.h"
#include "comm/nccl/driver.h"
#include "comm/nccl/peer_copies.h"
#include "comm/places.h"
#include "device/buffer.h"
#include "device/cuda_check.h"

namespace rk {
namespace {

constexpr int kMostRanks = 16;                  // of one host
constexpr size_t kFlagBytes = size_t{2} << 20;  // an allocation of its own
constexpr size_t kFlagStride = 64;              // bytes between two flags

// The driver's functions that the runtime does not have.
struct Driver {
  CUresult (*write)(CUstream, CUdeviceptr, cuuint32_t, unsigned) = driver_function<decltype(write)>("cuStreamWriteValue32");
  CUresult (*wait)(CUstream, CUdeviceptr, cuuint32_t, unsigned) = driver_function<decltype(wait)>("cuStreamWaitValue32");
  CUresult (*range)(CUdeviceptr*, size_t*, CUdeviceptr) = driver_function<decltype(range)>("cuMemGetAddressRange");
  bool complete() const { return write && wait && range; }
};

struct Parts {
  const void* part[kMostRanks];
};

template <class T>
__device__ __forceinline__ float wide(T x);
template <>
__device__ __forceinline__ float wide(float x) {
  return x;
}
template <>
__device__ __forceinline__ float wide(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
template <class T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow(float x) {
  return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 narrow(float x) {
  return __float2bfloat16_rn(x);
}

// out = parts[0] + parts[1] + ..., from left to right; PACK elements a thread. out may be one of the parts.
template <class T, int PACK>
__global__ void __launch_bounds__(256) add_parts(Parts parts, int n_parts, T* out, int64_t n) {
  struct alignas(sizeof(T) * PACK) Pack {
    T x[PACK];
  };
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x) * PACK;
  if (i >= n) return;
  float sum[PACK];
  const Pack first = *reinterpret_cast<const Pack*>(static_cast<const T*>(parts.part[0]) + i);
  for (int k = 0; k < PACK; ++k) sum[k] = wide(first.x[k]);
  for (int r = 1; r < n_parts; ++r) {
    const Pack next = *reinterpret_cast<const Pack*>(static_cast<const T*>(parts.part[r]) + i);
    for (int k = 0; k < PACK; ++k) sum[k] += wide(next.x[k]);
  }
  Pack result;
  for (int k = 0; k < PACK; ++k) result.x[k] = narrow<T>(sum[k]);
  *reinterpret_cast<Pack*>(out + i) = result;
}

template <class T>
void launch_add(const Parts& parts, int n_parts, const Tensor& out, cudaStream_t stream) {
  constexpr int kPack = 16 / sizeof(T);
  const int64_t n = out.numel();
  auto* to = static_cast<T*>(out.data);
  const auto blocks = [&](int pack) { return static_cast<unsigned>((n + 256 * pack - 1) / (256 * pack)); };
  bool packs = n % kPack == 0 && reinterpret_cast<uintptr_t>(to) % 16 == 0;
  for (int r = 0; r < n_parts; ++r) packs = packs && reinterpret_cast<uintptr_t>(parts.part[r]) % 16 == 0;
  if (packs) {
    add_parts<T, kPack><<<blocks(kPack), 256, 0, stream>>>(parts, n_parts, to, n);
  } else {
    add_parts<T, 1><<<blocks(1), 256, 0, stream>>>(parts, n_parts, to, n);
  }
  check(cudaGetLastError());
}

// An allocation of every rank, as this process sees it.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() {
    for (void* p : opened_) cudaIpcCloseMemHandle(p);
  }

  // Whether all ranks could open the memory of all others. Collective.
  bool open(Comm& host, const Driver& driver, std::byte* memory, size_t n_bytes) {
    struct Offer {
      cudaIpcMemHandle_t handle;
      uint64_t offset, n_bytes;
      int64_t fine;
    };
    Offer mine{};
    CUdeviceptr base = 0;
    size_t whole = 0;
    mine.n_bytes = n_bytes;
    mine.fine = driver.range(&base, &whole, reinterpret_cast<CUdeviceptr>(memory)) == CUDA_SUCCESS &&
                cudaIpcGetMemHandle(&mine.handle, memory) == cudaSuccess;
    mine.offset = reinterpret_cast<uint64_t>(memory) - base;
    const auto size = static_cast<size_t>(host.size());
    std::vector<Offer> offers(size);
    const auto bytes = [](void* data, size_t n) { return Tensor{data, {static_cast<int64_t>(n)}, DType::u8, Device::cpu}; };
    host.all_gather(bytes(&mine, sizeof mine), bytes(offers.data(), size * sizeof(Offer))).wait();
    for (const Offer& o : offers) require(o.n_bytes == n_bytes, "shared memory has one size on all ranks");
    double failed = 0;
    at_.assign(size, nullptr);
    at_[static_cast<size_t>(host.rank())] = memory;
    for (size_t r = 0; r < size && mine.fine; ++r) {
      if (r == static_cast<size_t>(host.rank()) || !offers[r].fine) continue;
      void* p = nullptr;
      if (cudaIpcOpenMemHandle(&p, offers[r].handle, cudaIpcMemLazyEnablePeerAccess) != cudaSuccess) break;
      opened_.push_back(p);
      at_[r] = static_cast<std::byte*>(p) + offers[r].offset;
    }
    cudaGetLastError();  // of what did not open
    failed = std::count(at_.begin(), at_.end(), nullptr) > 0;
    host.all_reduce({&failed, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
    n_bytes_ = n_bytes;
    own_ = memory;
    return failed == 0;
  }

  bool holds(const Tensor& t) const {
    const auto* p = static_cast<const std::byte*>(t.data);
    return own_ && p >= own_ && p + t.n_bytes() <= own_ + n_bytes_;
  }
  // The place of rank r that is this rank's p.
  std::byte* of(int r, const void* p) const { return at_[static_cast<size_t>(r)] + (static_cast<const std::byte*>(p) - own_); }

 private:
  std::vector<std::byte*> at_;
  std::vector<void*> opened_;
  std::byte* own_ = nullptr;
  size_t n_bytes_ = 0;
};

class Copies final : public PeerCopies {
 public:
  Copies(Comm& host, const Gpu& gpu)
      : host_(host), gpu_(gpu), rank_(host.rank()), size_(host.size()), flags_(Device::cuda, kFlagBytes), letting_go_(gpu) {}

  // Whether it works at all. Collective.
  bool connect() { return driver_.complete() && shared_flags_.open(host_, driver_, flags_.data(), flags_.size()); }

  void share(const Tensor& memory, const Tensor& inbox) override {
    if (!memory_.open(host_, driver_, static_cast<std::byte*>(memory.data), memory.n_bytes())) return;
    shared_ = true;
    inbox_ = inbox;
  }
  bool gathers(const Tensor& out) const override { return shared_ && memory_.holds(out); }
  bool reduces(const Tensor& out) const override {
    return shared_ && (out.dtype == DType::f32 || out.dtype == DType::bf16) && inbox_ &&
           out.n_bytes() * static_cast<size_t>(size_ - 1) <= inbox_.n_bytes();
  }

  void all_gather(const Tensor& in, const Tensor& out, CUstream_st* stream) override {
    const size_t n = in.n_bytes();
    std::byte* own = slice_at(out, rank_, n);
    if (own != in.data) check(cudaMemcpyAsync(own, in.data, n, cudaMemcpyDeviceToDevice, stream));
    exchange(stream, [&](int to) { check(cudaMemcpyAsync(memory_.of(to, own), own, n, cudaMemcpyDeviceToDevice, stream)); });
  }

  void reduce_scatter(const Tensor& in, const Tensor& out, CUstream_st* stream) override {
    const size_t n = out.n_bytes();
    exchange(stream, [&](int to) {
      check(cudaMemcpyAsync(memory_.of(to, letter_box(to, rank_, n)), slice_at(in, to, n), n, cudaMemcpyDeviceToDevice, stream));
    });
    Parts parts{};
    for (int r = 0; r < size_; ++r) parts.part[r] = r == rank_ ? slice_at(in, r, n) : letter_box(rank_, r, n);
    out.dtype == DType::f32 ? launch_add<float>(parts, size_, out, stream) : launch_add<__nv_bfloat16>(parts, size_, out, stream);
  }

  void give_up() override {
    gpu_.make_current();
    std::vector<uint32_t> reached(2 * kMostRanks * kFlagStride / sizeof(uint32_t), number_.load());
    cudaMemcpyAsync(flags_.data(), reached.data(), reached.size() * sizeof(uint32_t), cudaMemcpyHostToDevice, letting_go_.stream());
    cudaStreamSynchronize(letting_go_.stream());
  }

 private:
  enum Flag { kReady, kDone };
  // Where `owner` receives what `from` sends, as this rank's address.
  std::byte* letter_box(int owner, int from, size_t n) const {
    return static_cast<std::byte*>(inbox_.data) + static_cast<size_t>(from < owner ? from : from - 1) * n;
  }
  CUdeviceptr flag(int owner, Flag what, int from) const {
    const std::byte* own = flags_.data() + static_cast<size_t>(what * kMostRanks + from) * kFlagStride;
    return reinterpret_cast<CUdeviceptr>(shared_flags_.of(owner, own));
  }
  void tell(CUstream_st* stream, int to, Flag what, uint32_t number) {
    check_driver(driver_.write(stream, flag(to, what, rank_), number, CU_STREAM_WRITE_VALUE_DEFAULT));
  }
  void wait_for(CUstream_st* stream, Flag what, int from, uint32_t number) {
    check_driver(driver_.wait(stream, flag(rank_, what, from), number, CU_STREAM_WAIT_VALUE_GEQ));
  }

  // One collective: whoever is ready to be written to says so, is written to, and goes on when all others have written.
  template <class Send>
  void exchange(CUstream_st* stream, const Send& send) {
    const uint32_t number = ++number_;
    for (int i = 1; i < size_; ++i) tell(stream, (rank_ + i) % size_, kReady, number);
    for (int i = 1; i < size_; ++i) {  // each begins with its neighbour, so that no one is everybody's first
      const int to = (rank_ + i) % size_;
      wait_for(stream, kReady, to, number);
      send(to);
      tell(stream, to, kDone, number);
    }
    for (int i = 1; i < size_; ++i) wait_for(stream, kDone, (rank_ + size_ - i) % size_, number);
  }

  Comm& host_;
  const Gpu& gpu_;
  int rank_, size_;
  Driver driver_;
  Buffer flags_;
  GpuStream letting_go_;
  SharedMemory shared_flags_, memory_;
  bool shared_ = false;
  Tensor inbox_;
  std::atomic<uint32_t> number_{0};
};

bool switched_off() {
  const char* value = std::getenv("NCCL_P2P_DISABLE");
  return value && std::string_view(value) != "0" && std::string_view(value) != "";
}

}  // namespace

std::unique_ptr<PeerCopies> connect_peers(Comm& host, const Gpu& gpu) {
  double no = switched_off() || place_of_node(host).n_nodes > 1 || host.size() > kMostRanks || host.size() < 2;
  host.all_reduce({&no, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
  if (no != 0) return nullptr;
  auto copies = std::make_unique<Copies>(host, gpu);
  if (!copies->connect()) return nullptr;
  return copies;
}

}  // namespace rk
#endif
