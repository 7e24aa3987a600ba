// Shared by all bindings: views of arrays, and running kernels without the interpreter lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"
#include "labelquorum/partitions.hpp"

namespace labelquorum::bindings {

namespace py = pybind11;

// Never converted: the caller has checked and converted arrays, so anything else is refused.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

// One partition per array. Arrays must be 1-D, of the same length, and of an integer type in native
// byte order; any stride will do. The view is valid as long as the list.
Partitions view_columns(const py::list& columns);

// Runs kernel(executor) without the interpreter lock. Meanwhile this thread polls signals and calls
// `progress`, unless it is None, with the stage and the fraction done.
template <class Kernel>
auto run_kernel(int n_threads, const py::object& progress, Kernel&& kernel) {
    Hooks hooks;
    hooks.poll = [] {
        const py::gil_scoped_acquire lock;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    };
    if (!progress.is_none()) {
        hooks.progress = [handle = py::handle(progress)](std::string_view stage, double fraction) {
            const py::gil_scoped_acquire lock;
            handle(py::str(stage.data(), stage.size()), fraction);
        };
    }
    const py::gil_scoped_release unlock;
    return kernel(Executor(n_threads, std::move(hooks)));
}

// The data of an array of n values, to write to.
template <class T>
T* writable(Array<T>& array, std::size_t n, const char* name) {
    if (array.ndim() != 1 || static_cast<std::size_t>(array.shape(0)) != n) {
        throw std::invalid_argument(std::string(name) + " must be a 1-D array of length " +
                                    std::to_string(n) + ".");
    }
    return array.mutable_data();  // throws if the array is read-only
}

// The data of an array of n values, to read from; nullptr for None.
template <class T>
const T* readable(const std::optional<Array<T>>& array, std::size_t n, const char* name) {
    if (!array) return nullptr;
    if (array->ndim() != 1 || static_cast<std::size_t>(array->shape(0)) != n) {
        throw std::invalid_argument(std::string(name) + " must be a 1-D array of length " +
                                    std::to_string(n) + ".");
    }
    return array->data();
}

// Where each row of a CSR graph ends: a copy, because it must not change during a call.
template <class Index>
std::vector<Index> copy_indptr(const Array<Index>& indptr, std::size_t n_edges) {
    if (indptr.ndim() != 1 || indptr.shape(0) == 0) {
        throw std::invalid_argument("indptr must be a 1-D array of length n_nodes + 1.");
    }
    std::vector<Index> ends(indptr.data(), indptr.data() + indptr.shape(0));
    if (static_cast<std::int64_t>(ends.back()) != static_cast<std::int64_t>(n_edges)) {
        throw std::invalid_argument("indptr must end with the number of indices, " +
                                    std::to_string(n_edges) + ", got " +
                                    std::to_string(ends.back()) + ".");
    }
    return ends;
}

// A graph in CSR form. Kernels check its contents.
template <class Index, class Weight>
class CsrGraph {
public:
    CsrGraph(const Array<Index>& indptr, const Array<Index>& indices, const Array<Weight>& weights)
        : n_edges_(static_cast<std::size_t>(indices.size())),
          indptr_(copy_indptr(indptr, n_edges_)),
          view_{indptr_.data(), readable(std::optional(indices), n_edges_, "indices"),
                readable(std::optional(weights), n_edges_, "weights"), indptr_.size() - 1} {}
    CsrGraph(const CsrGraph&) = delete;
    CsrGraph& operator=(const CsrGraph&) = delete;

    const GraphView<Index, Weight>& view() const { return view_; }

private:
    std::size_t n_edges_;
    std::vector<Index> indptr_;
    GraphView<Index, Weight> view_;
};

// Turns a vector into an array without copying it.
template <class T>
py::array_t<T> to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    const T* data = owner->data();
    const py::capsule keeper(owner.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
    owner.release();
    return py::array_t<T>(std::move(shape), data, keeper);
}

template <class T>
py::array_t<T> to_array(std::vector<T>&& values) {
    const auto n = static_cast<py::ssize_t>(values.size());
    return to_array(std::move(values), {n});
}

void register_executor(py::module_& module);
void register_signatures(py::module_& module);
void register_agreement(py::module_& module);
void register_mini_clusters(py::module_& module);
void register_neighbors(py::module_& module);
void register_candidates(py::module_& module);
void register_codebooks(py::module_& module);
void register_graphs(py::module_& module);
void register_communities(py::module_& module);
void register_correlation(py::module_& module);
void register_linkage(py::module_& module);
void register_propagation(py::module_& module);
void register_heads(py::module_& module);

}  // namespace labelquorum::bindings
