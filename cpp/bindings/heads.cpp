#include "labelquorum/heads.hpp"

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

template <class Real>
RowsView<Real> view_rows(const Array<Real>& rows) {
    if (rows.ndim() != 2) throw std::invalid_argument("rows must be a 2-D array.");
    return {rows.data(), static_cast<std::size_t>(rows.shape(0)),
            static_cast<std::size_t>(rows.shape(1))};
}

template <class Real>
HeadShape shape_of(const Array<Real>& weights) {
    if (weights.ndim() != 3) throw std::invalid_argument("weights must be a 3-D array.");
    return {static_cast<std::size_t>(weights.shape(0)), static_cast<std::size_t>(weights.shape(1)),
            static_cast<std::size_t>(weights.shape(2))};
}

template <class T>
std::size_t size_of(const Array<T>& array) {
    return static_cast<std::size_t>(array.size());
}

// Overwrites the weights. Returns the losses.
template <class Index>
py::array_t<float> train(const Array<float>& rows, const Array<Index>& neighbors,
                         Array<float> weights, std::size_t n_passes, std::size_t batch_size,
                         double temperature, std::uint64_t seed, int n_threads,
                         const py::object& progress) {
    const RowsView<float> view = view_rows(rows);
    if (neighbors.ndim() != 2 || static_cast<std::size_t>(neighbors.shape(0)) != view.n_rows) {
        throw std::invalid_argument("neighbors must be a 2-D array with one row for each of rows.");
    }
    const NeighborsView<Index> near{neighbors.data(), static_cast<std::size_t>(neighbors.shape(1))};
    const HeadShape shape = shape_of(weights);
    HeadTraining training;
    training.objective.temperature = temperature;
    training.n_passes = n_passes;
    training.batch_size = batch_size;
    training.seed = seed;
    const std::span<float> values(weights.mutable_data(), size_of(weights));
    std::vector<float> losses(shape.n_heads);
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        train_heads(view, near, shape, training, values, losses, executor);
    });
    return to_array(std::move(losses));
}

template <class Index>
void register_training(py::module_& module) {
    using namespace py::literals;
    module.def("train_heads", &train<Index>, "rows"_a.noconvert(), "neighbors"_a.noconvert(),
               "weights"_a.noconvert(), "n_passes"_a, "batch_size"_a, "temperature"_a, "seed"_a,
               "n_threads"_a, "progress"_a);
}

}  // namespace

void register_heads(py::module_& module) {
    register_training<std::int32_t>(module);
    register_training<std::int64_t>(module);
}

}  // namespace labelquorum::bindings
