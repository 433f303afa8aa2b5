//! The resource types of FHIR R4 (4.0.1) and which element of each names the patient.
//! Source: the R4 resource index and the Patient compartment definition.

/// Whose a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It is the patient.
    Themself,
    /// The element of this name must lead to a patient.
    To(&'static str),
    /// The element of this name, where it is there, must lead to a patient.
    May(&'static str),
    /// Of that patient who is a participant.
    Appointment,
    /// Of the patient whose resources are its targets.
    Provenance,
    /// A Bundle: read, not kept.
    Bundle,
    /// Of no patient.
    Nobody,
}

use Belongs::{Appointment, Bundle, May, Nobody, Provenance, Themself, To};

/// Sorted by name: looked up by halving.
const KINDS: &[(&str, Belongs)] = &[
    ("Account", May("subject")),
    ("ActivityDefinition", Nobody),
    ("AdverseEvent", To("subject")),
    ("AllergyIntolerance", To("patient")),
    ("Appointment", Appointment),
    ("AppointmentResponse", To("actor")),
    ("AuditEvent", Nobody),
    ("Basic", May("subject")),
    ("Binary", Nobody),
    ("BiologicallyDerivedProduct", Nobody),
    ("BodyStructure", To("patient")),
    ("Bundle", Bundle),
    ("CapabilityStatement", Nobody),
    ("CarePlan", To("subject")),
    ("CareTeam", To("subject")),
    ("CatalogEntry", Nobody),
    ("ChargeItem", To("subject")),
    ("ChargeItemDefinition", Nobody),
    ("Claim", To("patient")),
    ("ClaimResponse", To("patient")),
    ("ClinicalImpression", To("subject")),
    ("CodeSystem", Nobody),
    ("Communication", To("subject")),
    ("CommunicationRequest", To("subject")),
    ("CompartmentDefinition", Nobody),
    ("Composition", To("subject")),
    ("ConceptMap", Nobody),
    ("Condition", To("subject")),
    ("Consent", To("patient")),
    ("Contract", May("subject")),
    ("Coverage", To("beneficiary")),
    ("CoverageEligibilityRequest", To("patient")),
    ("CoverageEligibilityResponse", To("patient")),
    ("DetectedIssue", To("patient")),
    ("Device", May("patient")),
    ("DeviceDefinition", Nobody),
    ("DeviceMetric", Nobody),
    ("DeviceRequest", To("subject")),
    ("DeviceUseStatement", To("subject")),
    ("DiagnosticReport", To("subject")),
    ("DocumentManifest", To("subject")),
    ("DocumentReference", To("subject")),
    ("EffectEvidenceSynthesis", Nobody),
    ("Encounter", To("subject")),
    ("Endpoint", Nobody),
    ("EnrollmentRequest", To("candidate")),
    ("EnrollmentResponse", Nobody),
    ("EpisodeOfCare", To("patient")),
    ("EventDefinition", Nobody),
    ("Evidence", Nobody),
    ("EvidenceVariable", Nobody),
    ("ExampleScenario", Nobody),
    ("ExplanationOfBenefit", To("patient")),
    ("FamilyMemberHistory", To("patient")),
    ("Flag", To("subject")),
    ("Goal", To("subject")),
    ("GraphDefinition", Nobody),
    ("Group", Nobody),
    ("GuidanceResponse", To("subject")),
    ("HealthcareService", Nobody),
    ("ImagingStudy", To("subject")),
    ("Immunization", To("patient")),
    ("ImmunizationEvaluation", To("patient")),
    ("ImmunizationRecommendation", To("patient")),
    ("ImplementationGuide", Nobody),
    ("InsurancePlan", Nobody),
    ("Invoice", May("subject")),
    ("Library", Nobody),
    ("Linkage", Nobody),
    ("List", May("subject")),
    ("Location", Nobody),
    ("Measure", Nobody),
    ("MeasureReport", May("subject")),
    ("Media", To("subject")),
    ("Medication", Nobody),
    ("MedicationAdministration", To("subject")),
    ("MedicationDispense", To("subject")),
    ("MedicationKnowledge", Nobody),
    ("MedicationRequest", To("subject")),
    ("MedicationStatement", To("subject")),
    ("MedicinalProduct", Nobody),
    ("MedicinalProductAuthorization", Nobody),
    ("MedicinalProductContraindication", Nobody),
    ("MedicinalProductIndication", Nobody),
    ("MedicinalProductIngredient", Nobody),
    ("MedicinalProductInteraction", Nobody),
    ("MedicinalProductManufactured", Nobody),
    ("MedicinalProductPackaged", Nobody),
    ("MedicinalProductPharmaceutical", Nobody),
    ("MedicinalProductUndesirableEffect", Nobody),
    ("MessageDefinition", Nobody),
    ("MessageHeader", Nobody),
    ("MolecularSequence", To("patient")),
    ("NamingSystem", Nobody),
    ("NutritionOrder", To("patient")),
    ("Observation", To("subject")),
    ("ObservationDefinition", Nobody),
    ("OperationDefinition", Nobody),
    ("OperationOutcome", Nobody),
    ("Organization", Nobody),
    ("OrganizationAffiliation", Nobody),
    ("Parameters", Nobody),
    ("Patient", Themself),
    ("PaymentNotice", Nobody),
    ("PaymentReconciliation", Nobody),
    ("Person", Nobody),
    ("PlanDefinition", Nobody),
    ("Practitioner", Nobody),
    ("PractitionerRole", Nobody),
    ("Procedure", To("subject")),
    ("Provenance", Provenance),
    ("Questionnaire", Nobody),
    ("QuestionnaireResponse", To("subject")),
    ("RelatedPerson", To("patient")),
    ("RequestGroup", To("subject")),
    ("ResearchDefinition", Nobody),
    ("ResearchElementDefinition", Nobody),
    ("ResearchStudy", Nobody),
    ("ResearchSubject", To("individual")),
    ("RiskAssessment", To("subject")),
    ("RiskEvidenceSynthesis", Nobody),
    ("Schedule", Nobody),
    ("SearchParameter", Nobody),
    ("ServiceRequest", To("subject")),
    ("Slot", Nobody),
    ("Specimen", To("subject")),
    ("SpecimenDefinition", Nobody),
    ("StructureDefinition", Nobody),
    ("StructureMap", Nobody),
    ("Subscription", Nobody),
    ("Substance", Nobody),
    ("SubstanceNucleicAcid", Nobody),
    ("SubstancePolymer", Nobody),
    ("SubstanceProtein", Nobody),
    ("SubstanceReferenceInformation", Nobody),
    ("SubstanceSourceMaterial", Nobody),
    ("SubstanceSpecification", Nobody),
    ("SupplyDelivery", May("patient")),
    ("SupplyRequest", Nobody),
    ("Task", To("for")),
    ("TerminologyCapabilities", Nobody),
    ("TestReport", Nobody),
    ("TestScript", Nobody),
    ("ValueSet", Nobody),
    ("VerificationResult", Nobody),
    ("VisionPrescription", To("patient")),
];

/// The type of that name, as a constant, and whose its resources are. None for what R4 does not know.
pub(super) fn kind(name: &str) -> Option<(&'static str, Belongs)> {
    KINDS.binary_search_by_key(&name, |(kind, _)| kind).ok().map(|position| KINDS[position])
}

/// What `CarePlan.activity.reference` may lead to.
pub(super) const ACTIVITIES: &[&str] = &[
    "Appointment",
    "CommunicationRequest",
    "DeviceRequest",
    "MedicationRequest",
    "NutritionOrder",
    "RequestGroup",
    "ServiceRequest",
    "Task",
    "VisionPrescription",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_and_the_activities_are_types() {
        assert!(KINDS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(KINDS.iter().all(|(name, belongs)| kind(name) == Some((*name, *belongs))));
        assert!(ACTIVITIES.iter().all(|name| kind(name).is_some()));
        assert_eq!(kind("Patients"), None);
        assert_eq!(kind(""), None);
    }
}
