"""DICOM and NIfTI files for tests, written by the libraries themselves: synthetic values, and a name that must not be
seen anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["AFFINE", "PERSON", "blob", "write_dicom", "write_nifti", "write_series"]

PERSON = "Doe^Jane"
#: from (i, j, k) to millimetres: turned by no angle, with the first axis towards the left and slices 2.5 mm apart
AFFINE = np.array([[-1.0, 0, 0, 40], [0, 1.5, 0, -30], [0, 0, 2.5, 10], [0, 0, 0, 1]])


def blob(size: tuple[int, int, int], at: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Values [D, H, W] like those of a CT: tissue about 40, and a bright ball."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
    away = np.linalg.norm((grid - np.array(at)) / np.array(size), axis=-1)
    noise = np.random.default_rng(seed).normal(0, 8, size)
    return np.rint(40 + noise + 300 * np.exp(-((away / 0.12) ** 2)))


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE, **header: Any) -> Path:
    """``values`` [i, j, k] as the file has them."""
    import nibabel

    image = nibabel.Nifti1Image(values, affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def write_dicom(path: Path, stored: np.ndarray, **tags: Any) -> Path:
    """One file of ``stored`` values [H, W], [N, H, W] or [H, W, 3], with further ``tags``; those that are None are left
    out."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = tags.pop("TransferSyntaxUID", pydicom.uid.ExplicitVRLittleEndian)
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName, data.PatientID = PERSON, PERSON
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    colours = stored.ndim == 3 and stored.shape[-1] == 3 and stored.dtype == np.uint8
    frames = stored.ndim == 3 and not colours
    data.Rows, data.Columns = stored.shape[1:3] if frames else stored.shape[:2]
    if frames:
        data.NumberOfFrames = len(stored)
    data.SamplesPerPixel = 3 if colours else 1
    data.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * stored.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = np.ascontiguousarray(stored).tobytes()
    for name, value in tags.items():
        if value is None and name in data:
            del data[name]
        elif value is not None:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, values: np.ndarray, step: float = 2.5, **tags: Any) -> Path:
    """``values`` [D, H, W] as a file for each slice, whose names are in another order than their places; rows go to the
    patient's left, columns to the back, slices to the head."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {
        "SeriesInstanceUID": "1.2.3", "Modality": "CT", "RescaleSlope": 2, "RescaleIntercept": -1000,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1.5, 1.0], "WindowCenter": 40, "WindowWidth": 400,
    }  # fmt: skip
    stored = ((values + 1000) / 2).astype(np.int16)
    for n, one in enumerate(stored):
        number = (n * 7) % len(stored) if len(stored) % 7 else n
        where = [-40.0, -30.0, 10 + step * n]
        own = {"ImagePositionPatient": where, "InstanceNumber": number + 1} | common | tags
        write_dicom(folder / f"im{number:03}.dcm", one, **own)
    return folder
