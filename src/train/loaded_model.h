// A model with its weights, to be run forward only.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "comm/comm.h"
#include "model/families.h"
#include "shard/shards.h"
#include "train/machine.h"
#include "train/plan.h"
#include "train/runner.h"

namespace rk {

class LoadedModel {
 public:
  // Weights of a .pth, .safetensors or .h5 file, of a step-NNNNNNNN folder, or of the newest such folder of a proj_dir.
  // dtype: what it computes in.
  LoadedModel(const std::string& path, DType dtype, const Machine& machine);

  Device device() const { return gpu_ ? Device::cuda : Device::cpu; }
  Exec bare() { return {.device = device(), .pool = &pool_, .gpu = gpu_}; }
  // After make_room().
  Exec exec() { return {.device = device(), .pool = &pool_, .kept = &kept_, .scratch = &scratch_, .gpu = gpu_}; }
  // Arenas that hold a run of this plan and all earlier ones.
  void make_room(const Plan& plan, const StepIo& io);

  Model& model() { return *model_; }
  const Model& model() const { return *model_; }
  Runner& runner() { return *runner_; }
  Comm& comm() { return *comm_; }                                                   // a world of one
  const std::map<std::string, std::string>& metadata() const { return metadata_; }  // of a file, or what it would be

 private:
  void load_file(const std::string& path, DType dtype);
  void load_folder(const std::string& folder, DType dtype);
  void take_shards(DType dtype);

  ThreadPool pool_;
  Gpu* gpu_;  // null: the CPU
  std::unique_ptr<Comm> comm_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Shards> shards_;
  std::unique_ptr<Runner> runner_;
  Arena kept_, scratch_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace rk
