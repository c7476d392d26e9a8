#include "train/loaded_model.h"

#include <filesystem>

#include "comm/backends.h"
#include "io/tensor_file.h"
#include "train/build.h"
#include "train/checkpoint.h"
#include "train/weights_metadata.h"

namespace rk {
namespace {

std::string checkpoint_of(const std::string& folder) {
  if (std::filesystem::exists(folder + "/manifest.json")) return folder;
  std::vector<std::string> warnings;
  if (const auto newest = newest_checkpoint(folder, warnings)) return *newest;
  fail(cat(folder, " is no checkpoint folder and holds none; give a step-NNNNNNNN folder or a weights file"));
}

std::unique_ptr<Model> model_for(std::vector<TensorInfo> tensors, const std::string& path, DType dtype) {
  for (TensorInfo& t : tensors) t.name = plain_name(t.name);
  const Family& family = family_of_file(tensors, path);
  ModelSpec given;
  given.dtype = dtype;
  return family.make(family.spec_from_file(given, tensors, path));
}

}  // namespace

LoadedModel::LoadedModel(const std::string& path, DType dtype, const Machine& machine)
    : pool_(machine.threads), gpu_(machine.gpu), comm_(make_self_comm(machine.gpu)) {
  if (!std::filesystem::exists(path)) fail(cat(path, " does not exist; give a weights file or a checkpoint folder"));
  if (std::filesystem::is_directory(path)) {
    load_folder(checkpoint_of(path), dtype);
  } else {
    load_file(path, dtype);
  }
  shards_->refresh_weights(bare());
  runner_ = std::make_unique<Runner>(*model_, shards_.get());
}

void LoadedModel::take_shards(DType dtype) {
  shards_ = std::make_unique<Shards>(bare(), *comm_, flat_layout(*model_, 1), ShardsOptions{.dtype = dtype, .training = false});
}

void LoadedModel::load_file(const std::string& path, DType dtype) {
  const auto reader = open_tensor_file(path);
  metadata_ = reader->metadata();
  model_ = model_for(reader->tensors(), path, dtype);
  take_shards(dtype);
  load_tensors(bare(), *model_, *shards_, *reader, {path});
}

void LoadedModel::load_folder(const std::string& folder, DType dtype) {
  CheckpointReader reader(folder);
  std::vector<TensorInfo> infos;
  for (const TensorShape& t : reader.tensors()) {
    infos.emplace_back();
    infos.back().name = t.name;
    infos.back().shape = t.shape;
  }
  metadata_ = weights_metadata(reader.state());
  model_ = model_for(infos, folder, dtype);
  take_shards(dtype);
  load_weights_from_checkpoint(bare(), *model_, *shards_, reader);
}

void LoadedModel::make_room(const Plan& plan, const StepIo& io) {
  Arena dry_kept(device()), dry_scratch(device());
  const Exec dry{.device = device(), .pool = &pool_, .kept = &dry_kept, .scratch = &dry_scratch, .gpu = gpu_};
  Runner(*model_, nullptr).run(dry, plan, io);
  if (dry_kept.peak() > kept_.capacity()) kept_ = Arena(Buffer(device(), dry_kept.peak()));
  if (dry_scratch.peak() > scratch_.capacity()) scratch_ = Arena(Buffer(device(), dry_scratch.peak()));
}

}  // namespace rk
