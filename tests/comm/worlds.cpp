#include "comm/worlds.h"

#include <gtest/gtest.h>

#include <optional>
#include <string_view>
#include <vector>

#include "comm/backends.h"
#include "comm/mpi/mpi_comm.h"
#ifdef ROOKERY_NCCL
#include "comm/nccl/nccl_comm.h"
#endif
#include "device/exec.h"

namespace rk::test {
namespace {

#ifdef ROOKERY_NCCL
// Every rank has a GPU of its own, or none takes one.
bool a_gpu_each(Comm& comm) {
  int64_t without = local_rank(comm) < n_gpus() ? 0 : 1;
  comm.all_reduce({&without, {1}, DType::i64, Device::cpu}, Reduce::sum).wait();
  return without == 0;
}
#endif

class Worlds : public testing::Environment {
 public:
  // As the product makes it, and one that has to cut whatever is longer than 1001 bytes.
  void SetUp() override {
    if (under_mpi()) {
      mpi.push_back(make_mpi_comm());
      mpi.push_back(make_mpi_comm(1001));
    }
#ifdef ROOKERY_NCCL
    if (!a_gpu_each(under_mpi() ? *mpi[0] : *make_self_comm())) return;
    gpu.emplace(GpuOptions{.index = under_mpi() ? local_rank(*mpi[0]) : 0});
    const auto host = [] { return under_mpi() ? make_mpi_comm() : make_self_comm(); };
    nccl.push_back(make_gpu_comm(host(), *gpu));
    nccl.push_back(make_gpu_comm(host(), *gpu, 1001));
    nccl.push_back(nccl[0]->twin("a twin"));
    nccl.push_back(nccl[1]->split(nccl[1]->rank() % 2));
#endif
  }
  void TearDown() override {
    nccl.clear();
    gpu.reset();
    mpi.clear();
    finalize_mpi();
  }
  std::optional<Gpu> gpu;
  std::vector<std::unique_ptr<Comm>> mpi, nccl;
};

Worlds& worlds() {
  static auto* all = new Worlds;  // GoogleTest owns and deletes it
  return *all;
}
const auto* const registered = testing::AddGlobalTestEnvironment(&worlds());

template <class T>
void store(const Tensor& t, int64_t i, int64_t value) {
  t.as<T>()[i] = static_cast<T>(static_cast<float>(value));
}

}  // namespace

void for_each_world(const std::function<void(Comm&)>& body) {
  for (auto& world : worlds().mpi) body(*world);
  for (auto& world : worlds().nccl) body(*world);
  if (under_mpi()) return;
  const auto self = make_self_comm();
  body(*self);
  for (int size : {1, 2, 3, 4, 5}) run_thread_world(size, body);
}

Gpu* gpu_of(const Comm& comm) { return std::string_view(comm.backend()) == "nccl" ? &*worlds().gpu : nullptr; }

Payload::Payload(const Comm& comm, DType dtype, int64_t n) : gpu_(gpu_of(comm)) {
  const size_t n_bytes = static_cast<size_t>(n) * size_of(dtype);
  on_host_ = Buffer(Device::cpu, n_bytes);
  tensor_ = host_ = on_host_.tensor(dtype, {n});
  if (!gpu_) return;
  on_gpu_ = Buffer(Device::cuda, n_bytes);
  tensor_ = on_gpu_.tensor(dtype, {n});
}

void Payload::fill(const std::function<int64_t(int64_t)>& value) {
  for (int64_t i = 0; i < host_.numel(); ++i) {
    switch (host_.dtype) {
      case DType::f64: store<double>(host_, i, value(i)); break;
      case DType::f32: store<float>(host_, i, value(i)); break;
      case DType::bf16: store<bf16>(host_, i, value(i)); break;
      case DType::f16: static_cast<f16*>(host_.data)[i] = to_f16(static_cast<float>(value(i))); break;
      case DType::i64: store<int64_t>(host_, i, value(i)); break;
      case DType::i32: store<int32_t>(host_, i, value(i)); break;
      default: static_cast<uint8_t*>(host_.data)[i] = static_cast<uint8_t>(value(i));
    }
  }
  if (gpu_) copy({.gpu = gpu_}, host_, tensor_);
}

void Payload::fetch() {
  if (gpu_) copy({.gpu = gpu_}, tensor_, host_);
}

int64_t Payload::at(int64_t i) const {
  switch (host_.dtype) {
    case DType::f64: return static_cast<int64_t>(host_.as<double>()[i]);
    case DType::f32: return static_cast<int64_t>(host_.as<float>()[i]);
    case DType::bf16: return static_cast<int64_t>(static_cast<float>(host_.as<bf16>()[i]));
    case DType::i64: return host_.as<int64_t>()[i];
    case DType::i32: return host_.as<int32_t>()[i];
    case DType::f16: return static_cast<int64_t>(to_float(static_cast<const f16*>(host_.data)[i]));
    default: return static_cast<const uint8_t*>(host_.data)[i];
  }
}

void expect_values(Payload& x, int64_t n, const std::function<int64_t(int64_t)>& value, const std::string& what) {
  x.fetch();
  for (int64_t i = 0; i < n; ++i) {
    if (x.at(i) == value(i)) continue;
    ADD_FAILURE() << what << ": element " << i << " is " << x.at(i) << ", not " << value(i);
    return;
  }
}

}  // namespace rk::test
