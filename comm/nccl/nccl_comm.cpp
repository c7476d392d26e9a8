#ifdef ROOKERY_NCCL
#include "comm/nccl/nccl_comm.h"

#include <exception>

#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/collective_args.h"

namespace rk {
namespace {

// Tickets that wait later than this many collectives wait for a younger one, which ends later.
constexpr size_t kEvents = 64;

ncclDataType_t nccl_type(DType t) {
  switch (t) {
    case DType::f64: return ncclFloat64;
    case DType::f32: return ncclFloat32;
    case DType::bf16: return ncclBfloat16;
    case DType::f16: return ncclFloat16;
    case DType::i64: return ncclInt64;
    case DType::i32: return ncclInt32;
    case DType::u8: return ncclUint8;
    default: broken_promise("collectives on a GPU carry f64, f32, bf16, f16, i64, i32 or u8", Where::here());
  }
}

// Rank 0 makes the name under which the group meets.
ncclUniqueId common_id(Comm& host) {
  ncclUniqueId id{};
  agree(host, [&] {
    if (host.rank() == 0) check(ncclGetUniqueId(&id));
  });
  host.broadcast({&id, {sizeof id}, DType::u8, Device::cpu}, 0).wait();
  return id;
}

// All calls between two points of this thread go to NCCL as one.
class NcclGroup {
 public:
  NcclGroup() { check(ncclGroupStart()); }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  void close() {
    open_ = false;
    check(ncclGroupEnd());
  }
  ~NcclGroup() {
    if (open_) ncclGroupEnd();
  }

 private:
  bool open_ = true;
};

std::byte* element(const Tensor& t, size_t i) { return static_cast<std::byte*>(t.data) + i * size_of(t.dtype); }
size_t count(const Tensor& t) { return static_cast<size_t>(t.numel()); }

}  // namespace

NcclComm::NcclComm(std::unique_ptr<Comm> host, Setting setting, const char* use)
    : host_(std::move(host)), setting_(std::move(setting)), exceptions_(std::uncaught_exceptions()), side_(setting_.gpu) {
  for (size_t i = 0; i < kEvents; ++i) done_.emplace_back(GpuEvent::Use::order);
  const ncclUniqueId id = common_id(*host_);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
  config.commName = use;
#endif
  check(ncclCommInitRankConfig(&comm_, size(), id, rank(), &config));
  progress_ = &setting_.watch->add(comm_, use);
}

// With an error on its way out collectives may never end; otherwise all of them have an end.
NcclComm::~NcclComm() {
  if (peers_) {
    setting_.watch->remove(peers_.get());
    if (std::uncaught_exceptions() > exceptions_) peers_->give_up();
    cudaStreamSynchronize(side_.stream());  // not checked: other ranks' memory is let go of in any case
  }
  if (!setting_.watch->remove(comm_)) return;
  if (std::uncaught_exceptions() > exceptions_) {
    ncclCommAbort(comm_);
  } else {
    ncclCommDestroy(comm_);
  }
}

// The collective comes behind all work that the Gpu's stream has now. It is the only work of its own stream.
template <class Call>
Ticket NcclComm::queue(Collective what, size_t n_bytes, const Call& call) {
  CUstream_st* stream = side_.stream();
  const uint64_t number = progress_->issue(what, n_bytes);
  ready_.record(setting_.gpu);
  ready_.hold(stream);
  progress_->begin(stream, number);
  call(stream);
  progress_->end(stream, number);
  done_[number % kEvents].record(stream);
  return {this, number};
}

Ticket NcclComm::all_reduce(Tensor x, Reduce op) {
  if (x.device != Device::cuda) return host_->all_reduce(x, op);
  if (x.numel() == 0) return {};
  return queue(Collective::all_reduce, x.n_bytes(), [&](CUstream_st* stream) {
    for_each_chunk(count(x), setting_.max_elements, [&](size_t first, int n) {
      check(ncclAllReduce(element(x, first), element(x, first), static_cast<size_t>(n), nccl_type(x.dtype),
                          op == Reduce::sum ? ncclSum : ncclMax, comm_, stream));
    });
  });
}

// A piece of every slice is no slice of a piece: what is too long goes rank by rank.
Ticket NcclComm::reduce_scatter(Tensor in, Tensor out) {
  if (in.device != Device::cuda) return host_->reduce_scatter(in, out);
  check_reduce_scatter(in, out, size());
  if (in.numel() == 0) return {};
  const ncclDataType_t type = nccl_type(in.dtype);
  return queue(Collective::reduce_scatter, in.n_bytes(), [&](CUstream_st* stream) {
    if (peers_ && peers_->reduces(out)) return peers_->reduce_scatter(in, out, stream);
    if (fits(count(in))) {
      check(ncclReduceScatter(in.data, out.data, count(out), type, ncclSum, comm_, stream));
      return;
    }
    for_each_chunk(count(out), setting_.max_elements, [&](size_t first, int n) {
      NcclGroup group;
      for (int root = 0; root < size(); ++root)
        check(ncclReduce(element(in, static_cast<size_t>(root) * count(out) + first), element(out, first), static_cast<size_t>(n), type,
                         ncclSum, root, comm_, stream));
      group.close();
    });
  });
}

Ticket NcclComm::all_gather(Tensor in, Tensor out) {
  if (in.device != Device::cuda) return host_->all_gather(in, out);
  check_all_gather(in, out, size());
  if (in.numel() == 0) return {};
  const ncclDataType_t type = nccl_type(in.dtype);
  return queue(Collective::all_gather, out.n_bytes(), [&](CUstream_st* stream) {
    if (peers_ && peers_->gathers(out)) return peers_->all_gather(in, out, stream);
    if (fits(count(out))) {
      check(ncclAllGather(in.data, out.data, count(in), type, comm_, stream));
      return;
    }
    for_each_chunk(count(in), setting_.max_elements, [&](size_t first, int n) {
      NcclGroup group;
      for (int root = 0; root < size(); ++root)
        check(ncclBroadcast(element(in, first), element(out, static_cast<size_t>(root) * count(in) + first), static_cast<size_t>(n), type,
                            root, comm_, stream));
      group.close();
    });
  });
}

Ticket NcclComm::all_to_all(Tensor in, Tensor out) {
  if (in.device != Device::cuda) return host_->all_to_all(in, out);
  check_all_to_all(in, out, size());
  if (in.numel() == 0) return {};
  const ncclDataType_t type = nccl_type(in.dtype);
  const size_t slice = in.n_bytes() / static_cast<size_t>(size()), n_slice = count(in) / static_cast<size_t>(size());
  return queue(Collective::all_to_all, in.n_bytes(), [&](CUstream_st* stream) {
    check(cudaMemcpyAsync(slice_at(out, rank(), slice), slice_at(in, rank(), slice), slice, cudaMemcpyDeviceToDevice, stream));
    for_each_chunk(n_slice, setting_.max_elements, [&](size_t first, int n) {
      const size_t offset = first * size_of(in.dtype), n_elements = static_cast<size_t>(n);
      NcclGroup group;
      for (int step = 1; step < size(); ++step) {
        const int to = (rank() + step) % size(), from = (rank() + size() - step) % size();
        check(ncclSend(slice_at(in, to, slice) + offset, n_elements, type, to, comm_, stream));
        check(ncclRecv(slice_at(out, from, slice) + offset, n_elements, type, from, comm_, stream));
      }
      group.close();
    });
  });
}

Ticket NcclComm::broadcast(Tensor x, int root) {
  if (x.device != Device::cuda) return host_->broadcast(x, root);
  require(root >= 0 && root < size(), "the root is a rank of the group");
  if (x.numel() == 0) return {};
  return queue(Collective::broadcast, x.n_bytes(), [&](CUstream_st* stream) {
    for_each_chunk(count(x), setting_.max_elements, [&](size_t first, int n) {
      check(ncclBroadcast(element(x, first), element(x, first), static_cast<size_t>(n), nccl_type(x.dtype), root, comm_, stream));
    });
  });
}

void NcclComm::share(const Tensor& memory, const Tensor& inbox) {
  if (!peers_) peers_ = connect_peers(*host_, setting_.gpu);
  if (!peers_) return;
  setting_.watch->add(peers_.get());
  peers_->share(memory, inbox);
}

std::unique_ptr<Comm> NcclComm::split(int color) { return std::make_unique<NcclComm>(host_->split(color), setting_, "a group of ranks"); }

std::unique_ptr<Comm> NcclComm::twin(const char* use) { return std::make_unique<NcclComm>(host_->split(0), setting_, use); }

void NcclComm::wait(uint64_t id) { wait_on(id, setting_.gpu.stream()); }

void NcclComm::wait_on(uint64_t id, CUstream_st* stream) { done_[id % kEvents].hold(stream); }

std::unique_ptr<Comm> make_gpu_comm(std::unique_ptr<Comm> host, Gpu& gpu, size_t max_elements) {
  auto watch = std::make_shared<NcclWatch>(host->rank());
  return std::make_unique<NcclComm>(std::move(host), NcclComm::Setting{gpu, max_elements, std::move(watch)}, "step data");
}

std::unique_ptr<Comm> make_gpu_comm(std::unique_ptr<Comm> host, Gpu& gpu) { return make_gpu_comm(std::move(host), gpu, kMaxNcclElements); }

std::string nccl_version() {
  int v = 0;
  check(ncclGetVersion(&v));
  return cat(v / 10000, ".", v / 100 % 100, ".", v % 100);
}

}  // namespace rk

#else
#include "base/error.h"
#include "comm/backends.h"

namespace rk {

std::unique_ptr<Comm> make_gpu_comm(std::unique_ptr<Comm>, Gpu&) {
  fail("this build has no NCCL, which GPUs of several ranks need; build it where nccl.h and libnccl are, or use one rank");
}
std::string nccl_version() { return {}; }

}  // namespace rk
#endif
