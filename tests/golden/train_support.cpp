#include "golden/train_support.h"

#include <array>
#include <filesystem>

#include "comm/backends.h"

namespace rk::golden {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder(Comm* mpi) : mpi_(mpi) {
  std::array<char, 256> name{};
  if (leads()) {
    (fs::temp_directory_path() / "rookery-golden-XXXXXX").string().copy(name.data(), name.size() - 1);
    if (!mkdtemp(name.data())) rk::fail("cannot make a temporary folder");
  }
  Tensor bytes;
  bytes.data = name.data();
  bytes.dtype = DType::u8;
  bytes.shape = {static_cast<int64_t>(name.size())};
  if (mpi_) mpi_->broadcast(bytes, 0).wait();
  path_ = name.data();
}

TemporaryFolder::~TemporaryFolder() {
  if (mpi_) mpi_->barrier();
  if (leads()) fs::remove_all(path_);
}

void History::step(const StepReport& r) {
  loss.push_back(r.loss);
  rank_loss.push_back(r.rank_loss);
  lr.push_back(r.lr);
  weight_decay.push_back(r.weight_decay);
  grad_norm.push_back(r.grad_norm);
  clip.push_back(r.clip);
  offsets.insert(offsets.end(), r.offsets->begin(), r.offsets->end());
}

std::vector<History> train_on(const Options& options, const RunConfig& config, int world) {
  std::vector<History> ranks(static_cast<size_t>(world));
  const auto body = [&](Comm& comm) {
    StopFlags flags;
    rk::train(config, comm, {.threads = options.threads, .gpu = options.gpu}, ranks[static_cast<size_t>(comm.rank())], flags);
  };
  if (options.mpi) {
    body(*options.mpi);
  } else if (options.gpu) {
    body(*make_self_comm(options.gpu));
  } else {
    run_thread_world(world, body);
  }
  return ranks;
}

std::vector<double> whole(CheckpointReader& reader, const TensorShape& t, const char* part) {
  int64_t n = 1;
  for (int64_t s : t.shape) n *= s;
  std::vector<double> x(static_cast<size_t>(n));
  reader.read(t.name, part, 0, n, DType::f64, x.data());
  return x;
}

}  // namespace rk::golden
