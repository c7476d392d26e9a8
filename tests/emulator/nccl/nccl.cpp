// The functions of NCCL that the product calls, for the emulated GPU: each is done over MPI on return, sums in rank order. Ranks beyond the
// first of a communicator need MPI; MPI is called by the thread that calls NCCL.
#include <nccl.h>

#include <cstring>
#include <vector>

#include "comm/mpi/check_mpi.h"
#include "comm/nccl/peer_copies.h"
#include "comm/nccl/progress.h"
#include "comm/ordered_reduce.h"
#include "emulator/memory.h"

using rk::check_mpi;
using rk::DType;
using rk::cuda::emulator::DeviceMemoryOpen;

struct ncclComm {
  MPI_Comm mpi = MPI_COMM_NULL;  // null for a group of one
  int rank = 0, size = 1;
};

namespace {

// What an id says: where the group meets, and which of the root's groups it is.
struct Meeting {
  int root, number;
};

int of_world(int (*ask)(MPI_Comm, int*)) {
  int initialised = 0, answer = 0;
  MPI_Initialized(&initialised);
  if (initialised) check_mpi(ask(MPI_COMM_WORLD, &answer));
  return answer;
}

// World ranks of the members: each tells the root its place, and the root tells everyone all of them.
std::vector<int> members(const Meeting& m, int rank, int size) {
  constexpr int kTag = 0x4000;
  const int tag = kTag + m.number % 0x2000;
  std::vector<int> all(static_cast<size_t>(size));
  const int own[2] = {rank, of_world(MPI_Comm_rank)};
  if (own[1] != m.root) {
    check_mpi(MPI_Send(own, 2, MPI_INT, m.root, tag, MPI_COMM_WORLD));
    check_mpi(MPI_Recv(all.data(), size, MPI_INT, m.root, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    return all;
  }
  all[static_cast<size_t>(rank)] = m.root;
  for (int i = 1; i < size; ++i) {
    int other[2];
    check_mpi(MPI_Recv(other, 2, MPI_INT, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    all[static_cast<size_t>(other[0])] = other[1];
  }
  for (int other : all)
    if (other != m.root) check_mpi(MPI_Send(all.data(), size, MPI_INT, other, tag, MPI_COMM_WORLD));
  return all;
}

MPI_Comm connect(const Meeting& m, int rank, int size) {
  const std::vector<int> ranks = members(m, rank, size);
  MPI_Group world, group;
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world));
  check_mpi(MPI_Group_incl(world, size, ranks.data(), &group));
  check_mpi(MPI_Comm_create_group(MPI_COMM_WORLD, group, m.number % 0x4000, &comm));
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  return comm;
}

struct Type {
  size_t bytes;
  DType dtype;
};

Type type_of(ncclDataType_t t) {
  switch (t) {
    case ncclFloat64: return {8, DType::f64};
    case ncclFloat32: return {4, DType::f32};
    case ncclBfloat16: return {2, DType::bf16};
    case ncclFloat16: return {2, DType::f16};
    case ncclInt64: return {8, DType::i64};
    case ncclInt32: return {4, DType::i32};
    case ncclUint8: return {1, DType::u8};
    default: rk::fail("the emulated NCCL does not know this type");
  }
}

// All ranks' n bytes, one after another.
std::vector<char> gathered(ncclComm_t comm, const void* mine, size_t n_bytes) {
  std::vector<char> all(n_bytes * static_cast<size_t>(comm->size));
  if (comm->size == 1) {
    std::memcpy(all.data(), mine, n_bytes);
    return all;
  }
  const auto n = static_cast<int>(n_bytes);
  rk::require(static_cast<size_t>(n) == n_bytes, "emulated collectives are small");
  check_mpi(MPI_Allgather(mine, n, MPI_BYTE, all.data(), n, MPI_BYTE, comm->mpi));
  return all;
}

void sum_halves(rk::Reduce op, const std::vector<const void*>& parts, void* out, size_t n) {
  auto* to = static_cast<rk::f16*>(out);
  for (size_t i = 0; i < n; ++i) {
    float x = rk::to_float(static_cast<const rk::f16*>(parts[0])[i]);
    for (size_t p = 1; p < parts.size(); ++p) {
      const float y = rk::to_float(static_cast<const rk::f16*>(parts[p])[i]);
      x = op == rk::Reduce::sum ? x + y : std::max(x, y);
    }
    to[i] = rk::to_f16(x);
  }
}

// out = the ranks' elements [first, first + n) of `all`, each of which has `of_rank` elements.
void reduce(const std::vector<char>& all, Type t, ncclRedOp_t op, size_t of_rank, size_t first, void* out, size_t n) {
  std::vector<const void*> parts;
  for (size_t at = 0; at < all.size(); at += of_rank * t.bytes) parts.push_back(all.data() + at + first * t.bytes);
  const rk::Reduce how = op == ncclSum ? rk::Reduce::sum : rk::Reduce::max;
  if (t.dtype == DType::f16) return sum_halves(how, parts, out, n);
  rk::ordered_reduce(t.dtype, how, parts, out, static_cast<int64_t>(n));
}

// What is sent and received between the start and the end of a group; outside of groups nothing is.
struct Message {
  bool sends;
  void* data;
  size_t n_bytes;
  int other;
  ncclComm_t comm;
  MPI_Request request;
};
std::vector<Message> messages;

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t) { return "error of the emulated NCCL"; }
const char* ncclGetLastError(ncclComm_t) { return ""; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int number = 0;
  const Meeting m{of_world(MPI_Comm_rank), ++number};
  std::memcpy(id, &m, sizeof m);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t*) {
  Meeting m;
  std::memcpy(&m, &id, sizeof m);
  *comm = new ncclComm{size > 1 ? connect(m, rank, size) : MPI_COMM_NULL, rank, size};
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm->mpi != MPI_COMM_NULL) MPI_Comm_free(&comm->mpi);
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {  // MPI keeps its part: freeing it would wait for the others
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  *error = ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclGroupStart() { return ncclSuccess; }
ncclResult_t ncclGroupEnd() {
  const DeviceMemoryOpen open;
  for (Message& m : messages) {
    if (m.sends) {
      check_mpi(MPI_Isend(m.data, static_cast<int>(m.n_bytes), MPI_BYTE, m.other, 0, m.comm->mpi, &m.request));
    } else {
      check_mpi(MPI_Irecv(m.data, static_cast<int>(m.n_bytes), MPI_BYTE, m.other, 0, m.comm->mpi, &m.request));
    }
  }
  for (Message& m : messages) check_mpi(MPI_Wait(&m.request, MPI_STATUS_IGNORE));
  messages.clear();
  return ncclSuccess;
}
ncclResult_t ncclSend(const void* data, size_t n, ncclDataType_t type, int to, ncclComm_t comm, cudaStream_t) {
  messages.push_back({true, const_cast<void*>(data), n * type_of(type).bytes, to, comm, MPI_REQUEST_NULL});
  return ncclSuccess;
}
ncclResult_t ncclRecv(void* data, size_t n, ncclDataType_t type, int from, ncclComm_t comm, cudaStream_t) {
  messages.push_back({false, data, n * type_of(type).bytes, from, comm, MPI_REQUEST_NULL});
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  const DeviceMemoryOpen open;
  const Type t = type_of(type);
  reduce(gathered(comm, in, n * t.bytes), t, op, n, 0, out, n);
  return ncclSuccess;
}
ncclResult_t ncclReduceScatter(const void* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  const DeviceMemoryOpen open;
  const Type t = type_of(type);
  const size_t whole = n * static_cast<size_t>(comm->size);
  reduce(gathered(comm, in, whole * t.bytes), t, op, whole, n * static_cast<size_t>(comm->rank), out, n);
  return ncclSuccess;
}
ncclResult_t ncclReduce(const void* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t) {
  const DeviceMemoryOpen open;
  const Type t = type_of(type);
  const std::vector<char> all = gathered(comm, in, n * t.bytes);
  if (comm->rank == root) reduce(all, t, op, n, 0, out, n);
  return ncclSuccess;
}
ncclResult_t ncclAllGather(const void* in, void* out, size_t n, ncclDataType_t type, ncclComm_t comm, cudaStream_t) {
  const DeviceMemoryOpen open;
  const std::vector<char> all = gathered(comm, in, n * type_of(type).bytes);
  std::memcpy(out, all.data(), all.size());
  return ncclSuccess;
}
ncclResult_t ncclBroadcast(const void* in, void* out, size_t n, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t) {
  const DeviceMemoryOpen open;
  const size_t n_bytes = n * type_of(type).bytes;
  if (comm->rank == root && in != out) std::memcpy(out, in, n_bytes);
  if (comm->size > 1) check_mpi(MPI_Bcast(out, static_cast<int>(n_bytes), MPI_BYTE, root, comm->mpi));
  return ncclSuccess;
}
}

// In place of comm/nccl/progress.cu.
// Processes do not reach each other's memory here.
std::unique_ptr<rk::PeerCopies> rk::connect_peers(Comm&, const Gpu&) { return nullptr; }
void rk::queue_number(CUstream_st*, uint64_t* word, uint64_t number) { *word = number; }
