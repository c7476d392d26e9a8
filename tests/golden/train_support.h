// What golden cases of training runs share.
#pragma once
#include <string>
#include <vector>

#include "golden/golden.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace rk::golden {

// A temporary folder that all ranks of `mpi` (null: this process alone) know; it goes away with its owners.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(Comm* mpi);
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }
  bool leads() const { return !mpi_ || mpi_->rank() == 0; }

 private:
  Comm* mpi_;
  std::string path_;
};

// What one rank saw of a run.
struct History : Observer {
  std::vector<double> loss, rank_loss, lr, weight_decay, grad_norm, clip;
  std::vector<int64_t> offsets;
  void step(const StepReport& r) override;
};

// The run on ranks as threads, on the GPU of the options, or on this rank of an MPI world; by rank, of which an MPI rank has its own.
std::vector<History> train_on(const Options& options, const RunConfig& config, int world);

// A part of a whole tensor.
std::vector<double> whole(CheckpointReader& reader, const TensorShape& t, const char* part);

}  // namespace rk::golden
