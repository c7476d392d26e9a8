#include "comm/worlds.h"

#include <gtest/gtest.h>

#include "comm/backends.h"
#include "comm/mpi/mpi_comm.h"

namespace rk::test {
namespace {

// Two MPI worlds: as the product makes it, and one that has to cut whatever is longer than 1001 bytes.
class MpiWorlds : public testing::Environment {
 public:
  void SetUp() override {
    if (!under_mpi()) return;
    worlds.push_back(make_mpi_comm());
    worlds.push_back(make_mpi_comm(1001));
  }
  void TearDown() override {
    worlds.clear();
    finalize_mpi();
  }
  std::vector<std::unique_ptr<Comm>> worlds;
};

MpiWorlds& mpi_worlds() {
  static auto* worlds = new MpiWorlds;  // GoogleTest owns and deletes it
  return *worlds;
}
const auto* const registered = testing::AddGlobalTestEnvironment(&mpi_worlds());

template <class T>
void store(const Tensor& t, int64_t i, int64_t value) {
  t.as<T>()[i] = static_cast<T>(static_cast<float>(value));
}

}  // namespace

void for_each_world(const std::function<void(Comm&)>& body) {
  if (under_mpi()) {
    for (auto& world : mpi_worlds().worlds) body(*world);
    return;
  }
  const auto self = make_self_comm();
  body(*self);
  for (int size : {1, 2, 3, 4, 5}) run_thread_world(size, body);
}

Payload::Payload(DType dtype, int64_t n) : bytes_(static_cast<size_t>(n) * size_of(dtype)) {
  tensor_.data = bytes_.data();
  tensor_.shape = {n};
  tensor_.dtype = dtype;
}

void Payload::fill(const std::function<int64_t(int64_t)>& value) {
  for (int64_t i = 0; i < tensor_.numel(); ++i) {
    switch (tensor_.dtype) {
      case DType::f64: store<double>(tensor_, i, value(i)); break;
      case DType::f32: store<float>(tensor_, i, value(i)); break;
      case DType::bf16: store<bf16>(tensor_, i, value(i)); break;
      case DType::i64: store<int64_t>(tensor_, i, value(i)); break;
      case DType::i32: store<int32_t>(tensor_, i, value(i)); break;
      default: bytes_[static_cast<size_t>(i)] = static_cast<std::byte>(value(i));
    }
  }
}

int64_t Payload::at(int64_t i) const {
  switch (tensor_.dtype) {
    case DType::f64: return static_cast<int64_t>(tensor_.as<double>()[i]);
    case DType::f32: return static_cast<int64_t>(tensor_.as<float>()[i]);
    case DType::bf16: return static_cast<int64_t>(static_cast<float>(tensor_.as<bf16>()[i]));
    case DType::i64: return tensor_.as<int64_t>()[i];
    case DType::i32: return tensor_.as<int32_t>()[i];
    default: return static_cast<int64_t>(bytes_[static_cast<size_t>(i)]);
  }
}

void expect_values(const Payload& x, int64_t n, const std::function<int64_t(int64_t)>& value, const std::string& what) {
  for (int64_t i = 0; i < n; ++i) {
    if (x.at(i) == value(i)) continue;
    ADD_FAILURE() << what << ": element " << i << " is " << x.at(i) << ", not " << value(i);
    return;
  }
}

}  // namespace rk::test
