// One rank of a run, from the start of MPI to the moment before memory is taken.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "comm/comm.h"
#include "device/gpu.h"
#include "train/machine.h"
#include "train/run_config.h"

namespace rk {

// Joins the other ranks, where there are some: options, then the roll call, which rank 0 prints and which stops all ranks with one table
// where their programs, options, data or libraries differ; then this rank's place and GPU. Collective.
struct RunRank {
  // parse: this rank's options; what it refuses is agreed by all ranks.
  explicit RunRank(const std::function<RunConfig()>& parse);

  std::optional<Gpu> gpu;  // outlives what uses it
  std::unique_ptr<Comm> comm;
  RunConfig config;
  Machine machine;

 private:
  void agree_on_options(const std::function<RunConfig()>& parse);
  int choose_device();
  void roll_call(int gpu_index);
  void take_gpu(int gpu_index);
};

}  // namespace rk
